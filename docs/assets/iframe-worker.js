// Browsers do not start workers from files. A hidden frame replaces the worker of the search there,
// so that search works without a server.
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
