"""Models that classify single pixels: random forest, linear SVM, threshold on an index."""
