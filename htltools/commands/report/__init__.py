"""`htl report`: one page of HTML."""
