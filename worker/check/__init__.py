"""The check of an upload: what its zip holds, put right where that can be said, refused where not."""
