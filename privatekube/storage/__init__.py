"""Files by URI, local or in a bucket."""
