"""`cxrfuture browse`: a page on this machine alone, to look at the samples of a dataset."""
