"""Networks and the localizers made of them."""
