"""The record of who asked, read and changed what; a keyed chain of entries shows whether it was changed afterwards."""
