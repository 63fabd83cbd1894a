"""`montezarr bench`: what each backend costs and gains on this machine."""
