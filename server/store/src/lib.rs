//! Log, shards, trees, recovery and resync of one database.
