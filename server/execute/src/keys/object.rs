//! OBJECT: how what a key holds would be kept by Redis. Tools ask; Tandem answers by the content,
//! since it keeps everything in its own way.

use crate::argument::is;
use crate::hash::scan::is_small;
use crate::refusal::{Done, Refusal};
use tandem_merge::{Draft, Kind};
use tandem_proto::{Reply, number};

/// Longest string that Redis keeps in one piece with its head
/// (`OBJ_ENCODING_EMBSTR_SIZE_LIMIT` in `object.c`).
const EMBEDDED_BYTES_MAX: usize = 44;

/// `OBJECT ENCODING | REFCOUNT | IDLETIME | FREQ key`, `OBJECT HELP`
pub(crate) fn object(args: &[&[u8]], draft: &Draft<'_>, reply: &mut Reply<'_>) -> Done {
    let (subcommand, keys) = (args[1], &args[2..]);
    let names = [
        ("encoding", "object|encoding"),
        ("refcount", "object|refcount"),
        ("idletime", "object|idletime"),
        ("freq", "object|freq"),
        ("help", "object|help"),
    ];
    let Some((name, full)) = names.into_iter().find(|(name, _)| is(subcommand, name)) else {
        reply.error_display(format_args!(
            "ERR unknown subcommand '{}'. Try OBJECT HELP.",
            String::from_utf8_lossy(subcommand)
        ));
        return Ok(());
    };
    let key = match (name, keys) {
        ("help", []) => {
            write_help(reply);
            return Ok(());
        }
        ("help", _) => return Err(Refusal::Arity(full)),
        (_, [key]) => *key,
        _ => return Err(Refusal::Arity(full)),
    };
    let Some(kind) = draft.kind(key) else {
        reply.null();
        return Ok(());
    };
    match name {
        "encoding" => reply.bulk(encoding(key, kind, draft).as_bytes()),
        "refcount" => reply.integer(1),
        // When a key was used is not kept: nothing is ever removed for want of use.
        "idletime" => reply.integer(0),
        _ => return Err(Refusal::NoFrequency),
    }
    Ok(())
}

fn encoding(key: &[u8], kind: Kind, draft: &Draft<'_>) -> &'static str {
    match kind {
        Kind::String => {
            let value = draft.string(key).unwrap_or_default();
            if number::parse_i64(&value).is_some() {
                "int"
            } else if value.len() <= EMBEDDED_BYTES_MAX {
                "embstr"
            } else {
                "raw"
            }
        }
        Kind::Hash if is_small(draft, key) => "listpack",
        Kind::Hash | Kind::Set => "hashtable",
        Kind::Zset => "skiplist",
    }
}

fn write_help(reply: &mut Reply<'_>) {
    let lines = [
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    How Redis would keep what the key holds.",
        "FREQ <key>",
        "    An error: how often a key is used is not kept.",
        "IDLETIME <key>",
        "    0: when a key was last used is not kept.",
        "REFCOUNT <key>",
        "    1: values are never shared.",
        "HELP",
        "    This text.",
    ];
    reply.array(lines.len());
    for line in lines {
        reply.simple(line);
    }
}
