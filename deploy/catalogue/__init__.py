"""Everything that is sent, remembered and stored, in one catalogue made from the contracts themselves."""
