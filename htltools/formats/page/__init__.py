"""The HTML page of `htl report`."""
