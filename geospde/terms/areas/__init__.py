"""Terms of areas and their neighbours."""
