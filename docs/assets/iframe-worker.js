// Browsers start no workers from files. There, a hidden frame takes the place of the search's
// worker, so that the pages can be searched without a server.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      frame.contentWindow.postMessage = (data) =>
        this.dispatchEvent(new MessageEvent("message", { data }));
      this.inside = new Promise((resolve, reject) => {
        const script = frame.contentDocument.createElement("script");
        script.onload = () => resolve(frame.contentWindow);
        script.onerror = reject;
        script.src = url;
        frame.contentDocument.body.append(script);
      });
    }

    async postMessage(data) {
      (await this.inside).dispatchEvent(new MessageEvent("message", { data }));
    }
  };
}
