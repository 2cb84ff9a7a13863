//! The table: one row per command, with arity, flags and key positions as Redis 7 has them.
//!
//! Different from Redis on purpose: `SLAVEOF` and `REPLICAOF` take a third argument (`force`), and
//! families such as `OBJECT`, `CONFIG` and `CLIENT` are one row each, with what holds for all their
//! members.

use super::{CommandSpec, Flags, Group};

/// Makes the enum of ids and the table, in one order, from rows of
/// `Id "name" arity [FLAGS] (first key, last key, step) Group "since" "summary"`.
macro_rules! commands {
    ($($id:ident $name:literal $arity:literal [$($flag:ident)*]
        ($first:literal, $last:literal, $step:literal) $group:ident $since:literal $summary:literal),* $(,)?) => {
        /// Names a command of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum CommandId {
            $(#[doc = $summary] $id,)*
        }

        /// All commands; row `n` is that of the id with number `n`.
        pub(super) static TABLE: [CommandSpec; [$(CommandId::$id),*].len()] = [
            $(CommandSpec {
                id: CommandId::$id,
                name: $name,
                arity: $arity,
                flags: Flags::NONE$(.union(Flags::$flag))*,
                first_key: $first,
                last_key: $last,
                key_step: $step,
                group: Group::$group,
                since: $since,
                summary: $summary,
            },)*
        ];
    };
}

commands! {
    Set "set" -3 [WRITE DENYOOM] (1, 1, 1) String "1.0.0"
        "Sets a key to a string, whatever it held; options for condition, expiry and old value.",
    Get "get" 2 [READONLY FAST] (1, 1, 1) String "1.0.0"
        "Reads the string at a key.",
    GetSet "getset" 3 [WRITE DENYOOM FAST] (1, 1, 1) String "1.0.0"
        "Sets a key and gives the string it held before.",
    GetDel "getdel" 2 [WRITE FAST] (1, 1, 1) String "6.2.0"
        "Reads the string at a key and removes the key.",
    GetEx "getex" -2 [WRITE FAST] (1, 1, 1) String "6.2.0"
        "Reads the string at a key and sets or removes its expiry.",
    SetNx "setnx" 3 [WRITE DENYOOM FAST] (1, 1, 1) String "1.0.0"
        "Sets a key that does not exist.",
    SetEx "setex" 4 [WRITE DENYOOM] (1, 1, 1) String "2.0.0"
        "Sets a key with an expiry in seconds.",
    PSetEx "psetex" 4 [WRITE DENYOOM] (1, 1, 1) String "2.6.0"
        "Sets a key with an expiry in milliseconds.",
    MSet "mset" -3 [WRITE DENYOOM] (1, -1, 2) String "1.0.1"
        "Sets several keys at once.",
    MGet "mget" -2 [READONLY FAST] (1, -1, 1) String "1.0.0"
        "Reads the strings at several keys.",
    MSetNx "msetnx" -3 [WRITE DENYOOM] (1, -1, 2) String "1.0.1"
        "Sets several keys if none of them exists.",
    Append "append" 3 [WRITE DENYOOM FAST] (1, 1, 1) String "2.0.0"
        "Adds bytes at the end of a string.",
    StrLen "strlen" 2 [READONLY FAST] (1, 1, 1) String "2.2.0"
        "Gives the length of a string in bytes.",
    GetRange "getrange" 4 [READONLY] (1, 1, 1) String "2.4.0"
        "Reads part of a string.",
    SubStr "substr" 4 [READONLY] (1, 1, 1) String "1.0.0"
        "Reads part of a string; the old name of GETRANGE.",
    SetRange "setrange" 4 [WRITE DENYOOM] (1, 1, 1) String "2.2.0"
        "Overwrites part of a string from an offset.",
    Incr "incr" 2 [WRITE DENYOOM FAST] (1, 1, 1) String "1.0.0"
        "Adds one to a counter.",
    Decr "decr" 2 [WRITE DENYOOM FAST] (1, 1, 1) String "1.0.0"
        "Takes one from a counter.",
    IncrBy "incrby" 3 [WRITE DENYOOM FAST] (1, 1, 1) String "1.0.0"
        "Adds an integer to a counter.",
    DecrBy "decrby" 3 [WRITE DENYOOM FAST] (1, 1, 1) String "1.0.0"
        "Takes an integer from a counter.",
    IncrByFloat "incrbyfloat" 3 [WRITE DENYOOM FAST] (1, 1, 1) String "2.6.0"
        "Adds a float to a counter.",

    HSet "hset" -4 [WRITE DENYOOM FAST] (1, 1, 1) Hash "2.0.0"
        "Sets fields of a hash.",
    HSetNx "hsetnx" 4 [WRITE DENYOOM FAST] (1, 1, 1) Hash "2.0.0"
        "Sets a field of a hash that does not exist.",
    HMSet "hmset" -4 [WRITE DENYOOM FAST] (1, 1, 1) Hash "2.0.0"
        "Sets fields of a hash; the old form of HSET.",
    HGet "hget" 3 [READONLY FAST] (1, 1, 1) Hash "2.0.0"
        "Reads a field of a hash.",
    HMGet "hmget" -3 [READONLY FAST] (1, 1, 1) Hash "2.0.0"
        "Reads several fields of a hash.",
    HGetAll "hgetall" 2 [READONLY] (1, 1, 1) Hash "2.0.0"
        "Reads all fields of a hash with their values.",
    HDel "hdel" -3 [WRITE FAST] (1, 1, 1) Hash "2.0.0"
        "Removes fields of a hash.",
    HExists "hexists" 3 [READONLY FAST] (1, 1, 1) Hash "2.0.0"
        "Tells whether a hash has a field.",
    HLen "hlen" 2 [READONLY FAST] (1, 1, 1) Hash "2.0.0"
        "Counts the fields of a hash.",
    HKeys "hkeys" 2 [READONLY] (1, 1, 1) Hash "2.0.0"
        "Reads the names of all fields of a hash.",
    HVals "hvals" 2 [READONLY] (1, 1, 1) Hash "2.0.0"
        "Reads the values of all fields of a hash.",
    HStrLen "hstrlen" 3 [READONLY FAST] (1, 1, 1) Hash "3.2.0"
        "Gives the length of a field's value in bytes.",
    HIncrBy "hincrby" 4 [WRITE DENYOOM FAST] (1, 1, 1) Hash "2.0.0"
        "Adds an integer to a field of a hash.",
    HIncrByFloat "hincrbyfloat" 4 [WRITE DENYOOM FAST] (1, 1, 1) Hash "2.6.0"
        "Adds a float to a field of a hash.",
    HScan "hscan" -3 [READONLY] (1, 1, 1) Hash "2.8.0"
        "Walks through the fields of a hash by a cursor.",
    HRandField "hrandfield" -2 [READONLY] (1, 1, 1) Hash "6.2.0"
        "Picks fields of a hash at random.",

    Del "del" -2 [WRITE] (1, -1, 1) Generic "1.0.0"
        "Removes keys.",
    Unlink "unlink" -2 [WRITE FAST] (1, -1, 1) Generic "4.0.0"
        "Removes keys; their memory is given back later.",
    Exists "exists" -2 [READONLY FAST] (1, -1, 1) Generic "1.0.0"
        "Counts which of the given keys exist.",
    Type "type" 2 [READONLY FAST] (1, 1, 1) Generic "1.0.0"
        "Names the type of what a key holds.",
    Expire "expire" -3 [WRITE FAST] (1, 1, 1) Generic "1.0.0"
        "Lets a key end after seconds.",
    PExpire "pexpire" -3 [WRITE FAST] (1, 1, 1) Generic "2.6.0"
        "Lets a key end after milliseconds.",
    ExpireAt "expireat" -3 [WRITE FAST] (1, 1, 1) Generic "1.2.0"
        "Lets a key end at a Unix time in seconds.",
    PExpireAt "pexpireat" -3 [WRITE FAST] (1, 1, 1) Generic "2.6.0"
        "Lets a key end at a Unix time in milliseconds.",
    Ttl "ttl" 2 [READONLY FAST] (1, 1, 1) Generic "1.0.0"
        "Gives the seconds a key has left.",
    PTtl "pttl" 2 [READONLY FAST] (1, 1, 1) Generic "2.6.0"
        "Gives the milliseconds a key has left.",
    ExpireTime "expiretime" 2 [READONLY FAST] (1, 1, 1) Generic "7.0.0"
        "Gives the Unix time in seconds at which a key ends.",
    PExpireTime "pexpiretime" 2 [READONLY FAST] (1, 1, 1) Generic "7.0.0"
        "Gives the Unix time in milliseconds at which a key ends.",
    Persist "persist" 2 [WRITE FAST] (1, 1, 1) Generic "2.2.0"
        "Takes the expiry from a key.",
    Rename "rename" 3 [WRITE] (1, 2, 1) Generic "1.0.0"
        "Moves a key to another name, over what was there.",
    RenameNx "renamenx" 3 [WRITE FAST] (1, 2, 1) Generic "1.0.0"
        "Moves a key to another name that is free.",
    Copy "copy" -3 [WRITE DENYOOM] (1, 2, 1) Generic "6.2.0"
        "Copies what a key holds to another key.",
    Scan "scan" -2 [READONLY] (0, 0, 0) Generic "2.8.0"
        "Walks through the keys of a database by a cursor.",
    Keys "keys" 2 [READONLY] (0, 0, 0) Generic "1.0.0"
        "Lists all keys that match a pattern.",
    RandomKey "randomkey" 1 [READONLY] (0, 0, 0) Generic "1.0.0"
        "Picks a key at random.",
    Touch "touch" -2 [READONLY FAST] (1, -1, 1) Generic "3.2.1"
        "Counts which of the given keys exist, and marks them as used.",
    Object "object" -2 [READONLY] (2, 2, 1) Generic "2.2.3"
        "Tells how what a key holds is kept.",
    Wait "wait" 3 [NOSCRIPT] (0, 0, 0) Generic "3.0.0"
        "Waits until replicas have applied this connection's writes.",
    WaitAof "waitaof" 4 [NOSCRIPT] (0, 0, 0) Generic "7.2.0"
        "Waits until this connection's writes are on disk, here and at replicas.",

    DbSize "dbsize" 1 [READONLY FAST] (0, 0, 0) Server "1.0.0"
        "Counts the keys of a database.",
    FlushDb "flushdb" -1 [WRITE] (0, 0, 0) Server "1.0.0"
        "Removes all keys of a database.",
    FlushAll "flushall" -1 [WRITE] (0, 0, 0) Server "1.0.0"
        "Removes all keys of all databases.",
    Command "command" -1 [LOADING STALE] (0, 0, 0) Server "2.8.13"
        "Describes the commands of this server.",
    Info "info" -1 [LOADING STALE] (0, 0, 0) Server "1.0.0"
        "Tells the state of this server, as text.",
    Config "config" -2 [ADMIN NOSCRIPT LOADING STALE] (0, 0, 0) Server "2.0.0"
        "Reads, changes and saves the configuration.",
    Time "time" 1 [LOADING STALE FAST] (0, 0, 0) Server "2.6.0"
        "Gives the server's clock.",
    Role "role" 1 [NOSCRIPT LOADING STALE FAST] (0, 0, 0) Server "2.8.12"
        "Tells the replication role of this server.",
    Shutdown "shutdown" -1 [ADMIN NOSCRIPT LOADING STALE NO_MULTI] (0, 0, 0) Server "1.0.0"
        "Saves what is unsaved and ends the server.",
    Save "save" 1 [ADMIN NOSCRIPT NO_MULTI] (0, 0, 0) Server "1.0.0"
        "Writes a checkpoint and waits for it.",
    BgSave "bgsave" -1 [ADMIN NOSCRIPT] (0, 0, 0) Server "1.0.0"
        "Writes a checkpoint in the background.",
    BgRewriteAof "bgrewriteaof" 1 [ADMIN NOSCRIPT] (0, 0, 0) Server "1.0.0"
        "Writes a checkpoint in the background; the log before it may go.",
    LastSave "lastsave" 1 [LOADING STALE FAST] (0, 0, 0) Server "1.0.0"
        "Gives the Unix time of the last save that was asked for.",
    Memory "memory" -2 [READONLY] (2, 2, 1) Server "4.0.0"
        "Tells how much memory a key takes.",
    SlowLog "slowlog" -2 [ADMIN LOADING STALE] (0, 0, 0) Server "2.2.12"
        "Reads and clears the log of slow commands.",
    Debug "debug" -2 [ADMIN NOSCRIPT LOADING STALE] (0, 0, 0) Server "1.0.0"
        "Helps tests and those who look into a server.",
    SlaveOf "slaveof" -3 [ADMIN NOSCRIPT STALE] (0, 0, 0) Server "1.0.0"
        "Follows a primary, resyncs with a peer, or stops either; the old name of REPLICAOF.",
    ReplicaOf "replicaof" -3 [ADMIN NOSCRIPT STALE] (0, 0, 0) Server "5.0.0"
        "Follows a primary, resyncs with a peer, or stops either.",
    Failover "failover" -1 [ADMIN NOSCRIPT STALE] (0, 0, 0) Server "6.2.0"
        "Hands the role of primary over to a replica.",
    Tandem "tandem" -2 [ADMIN NOSCRIPT LOADING STALE] (0, 0, 0) Server "0.1.0"
        "The operator's door: status, roles, members and links of this server.",

    Multi "multi" 1 [NOSCRIPT LOADING STALE FAST] (0, 0, 0) Transactions "1.2.0"
        "Begins a transaction.",
    Exec "exec" 1 [NOSCRIPT LOADING STALE] (0, 0, 0) Transactions "1.2.0"
        "Runs the commands of a transaction at once.",
    Discard "discard" 1 [NOSCRIPT LOADING STALE FAST] (0, 0, 0) Transactions "2.0.0"
        "Drops the commands of a transaction.",
    Watch "watch" -2 [NOSCRIPT LOADING STALE FAST] (1, -1, 1) Transactions "2.2.0"
        "Lets the next transaction fail if one of the keys changes before.",
    Unwatch "unwatch" 1 [NOSCRIPT LOADING STALE FAST] (0, 0, 0) Transactions "2.2.0"
        "Forgets the watched keys.",

    Ping "ping" -1 [FAST] (0, 0, 0) Connection "1.0.0"
        "Answers, to show that the server does.",
    Echo "echo" 2 [LOADING STALE FAST] (0, 0, 0) Connection "1.0.0"
        "Gives its argument back.",
    Hello "hello" -1 [NOSCRIPT LOADING STALE FAST NO_AUTH] (0, 0, 0) Connection "6.0.0"
        "Picks the protocol of a connection, with password and name if given.",
    Select "select" 2 [LOADING STALE FAST] (0, 0, 0) Connection "1.0.0"
        "Picks the database of a connection.",
    Client "client" -2 [NOSCRIPT LOADING STALE] (0, 0, 0) Connection "2.4.0"
        "Reads and changes the state of connections.",
    Auth "auth" -2 [NOSCRIPT LOADING STALE FAST NO_AUTH] (0, 0, 0) Connection "1.0.0"
        "Says who the client is.",
    Quit "quit" -1 [NOSCRIPT LOADING STALE FAST NO_AUTH] (0, 0, 0) Connection "1.0.0"
        "Ends a connection.",
    Reset "reset" 1 [NOSCRIPT LOADING STALE FAST NO_AUTH] (0, 0, 0) Connection "6.2.0"
        "Puts a connection back into the state of a new one.",
}
