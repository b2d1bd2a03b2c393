"""Bars out of records that are not alphawire's own, as a source of the topic declares them."""
