"""The zip a user downloads: shards write its segments, packing puts them together unread."""
