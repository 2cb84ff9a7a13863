//! The answers of `COMMAND` and its subcommands, from the table.

use super::{CommandId, CommandSpec, Flags, Group, all, lookup};
use crate::glob;
use crate::reply::Reply;

/// Bytes of an unknown command's name, and of all its arguments, that an error repeats.
const ECHO_BYTES_MAX: usize = 128;

/// Answers `COMMAND ...`; `args[0]` is the name `COMMAND` itself.
pub fn answer_command(args: &[&[u8]], reply: &mut Reply<'_>) {
    let Some((subcommand, rest)) = args.get(1..).and_then(<[_]>::split_first) else {
        reply.array(all().len());
        for spec in all() {
            write_info(spec, reply);
        }
        return;
    };
    match (subcommand.to_ascii_lowercase().as_slice(), rest) {
        (b"count", []) => reply.integer(all().len() as i64),
        (b"info", []) => answer_command(&args[..1], reply),
        (b"info", names) => {
            reply.array(names.len());
            for name in names {
                match lookup(name) {
                    Some(spec) => write_info(spec, reply),
                    None => reply.null_array(),
                }
            }
        }
        (b"docs", []) => write_docs(all().iter(), reply),
        (b"docs", names) => write_docs(names.iter().filter_map(|name| lookup(name)), reply),
        (b"list", filter) => list(filter, reply),
        (b"getkeys", command) if !command.is_empty() => get_keys(command, reply, |key, reply| {
            reply.bulk(key);
        }),
        (b"getkeysandflags", command) if !command.is_empty() => {
            get_keys(command, reply, |key, reply| {
                reply.array(2);
                reply.bulk(key);
                write_key_flags(lookup(command[0]), reply);
            });
        }
        (b"help", []) => write_help(reply),
        (b"count" | b"getkeys" | b"getkeysandflags" | b"help", _) => {
            reply.error_display(format_args!(
                "ERR wrong number of arguments for 'command|{}' command",
                subcommand.to_ascii_lowercase().escape_ascii()
            ));
        }
        _ => reply.error_display(format_args!(
            "ERR unknown subcommand '{}'. Try COMMAND HELP.",
            echo(subcommand, ECHO_BYTES_MAX)
        )),
    }
}

/// Refuses a command with the wrong number of arguments, in Redis' words.
#[cold]
pub fn refuse_arity(spec: &CommandSpec, reply: &mut Reply<'_>) {
    reply.error_display(format_args!(
        "ERR wrong number of arguments for '{}' command",
        spec.name
    ));
}

/// Refuses a command that does not exist, in Redis' words; `args[0]` is its name.
#[cold]
pub fn refuse_unknown<'a>(args: impl IntoIterator<Item = &'a [u8]>, reply: &mut Reply<'_>) {
    use std::fmt::Write as _;
    let mut args = args.into_iter();
    let name = args.next().unwrap_or_default();
    let mut shown = String::new();
    for arg in args {
        if shown.len() >= ECHO_BYTES_MAX {
            break;
        }
        let left = ECHO_BYTES_MAX - shown.len();
        // Writing into a String cannot fail.
        let _ = write!(shown, "'{}' ", echo(arg, left));
    }
    reply.error_display(format_args!(
        "ERR unknown command '{}', with args beginning with: {shown}",
        echo(name, ECHO_BYTES_MAX)
    ));
}

/// What a client sent, shortened, to stand in an error.
fn echo(bytes: &[u8], bytes_max: usize) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(&bytes[..bytes.len().min(bytes_max)])
}

/// Writes one command as `COMMAND INFO` shows it: name, arity, flags, first key, last key, step,
/// categories, tips, key specifications, subcommands.
fn write_info(spec: &CommandSpec, reply: &mut Reply<'_>) {
    reply.array(10);
    reply.bulk(spec.name.as_bytes());
    reply.integer(spec.arity.into());
    reply.set(spec.flags.names().count());
    spec.flags.names().for_each(|name| reply.simple(name));
    reply.integer(spec.first_key.into());
    reply.integer(spec.last_key.into());
    reply.integer(spec.key_step.into());
    reply.set(categories(spec).count());
    categories(spec).for_each(|name| reply.simple(name));
    reply.array(0);
    write_key_specification(spec, reply);
    reply.array(0);
}

/// The categories that Redis' access lists would put the command in, derived from its flags.
fn categories(spec: &CommandSpec) -> impl Iterator<Item = &'static str> {
    use CommandId::{Command, FlushAll, FlushDb, Info, Keys, Role, Wait, WaitAof};
    let has = |flag| spec.flags.contains(flag);
    let of_data = has(Flags::WRITE) || has(Flags::READONLY);
    let is_typed = matches!(spec.group, Group::String | Group::Hash);
    let is_admin = has(Flags::ADMIN) || spec.id == Role;
    let is_dangerous = is_admin || matches!(spec.id, Keys | FlushDb | FlushAll | Info);
    let is_connection =
        spec.group == Group::Connection || matches!(spec.id, Command | Wait | WaitAof);
    [
        (of_data && !is_typed, "@keyspace"),
        (has(Flags::READONLY), "@read"),
        (has(Flags::WRITE), "@write"),
        (spec.group == Group::Hash, "@hash"),
        (spec.group == Group::String, "@string"),
        (is_admin, "@admin"),
        (has(Flags::FAST), "@fast"),
        (!has(Flags::FAST), "@slow"),
        (has(Flags::BLOCKING), "@blocking"),
        (is_dangerous, "@dangerous"),
        (is_connection, "@connection"),
        (spec.group == Group::Transactions, "@transaction"),
    ]
    .into_iter()
    .filter_map(|(holds, name)| holds.then_some(name))
}

fn write_key_specification(spec: &CommandSpec, reply: &mut Reply<'_>) {
    if spec.first_key == 0 {
        reply.array(0);
        return;
    }
    // The last key is told from the first one on; from the end where it is negative.
    let last = if spec.last_key < 0 {
        spec.last_key
    } else {
        spec.last_key - spec.first_key
    };
    reply.array(1);
    reply.map(3);
    reply.bulk(b"flags");
    write_key_flags(Some(spec), reply);
    reply.bulk(b"begin_search");
    reply.map(2);
    write_pair(reply, "type", "index");
    reply.bulk(b"spec");
    reply.map(1);
    reply.bulk(b"index");
    reply.integer(spec.first_key.into());
    reply.bulk(b"find_keys");
    reply.map(2);
    write_pair(reply, "type", "range");
    reply.bulk(b"spec");
    reply.map(3);
    for (name, value) in [("lastkey", last), ("keystep", spec.key_step), ("limit", 0)] {
        reply.bulk(name.as_bytes());
        reply.integer(value.into());
    }
}

fn write_key_flags(spec: Option<&CommandSpec>, reply: &mut Reply<'_>) {
    let flags = match spec {
        Some(spec) if spec.is_write() => ["RW", "update"],
        _ => ["RO", "access"],
    };
    reply.set(flags.len());
    for flag in flags {
        reply.simple(flag);
    }
}

fn write_pair(reply: &mut Reply<'_>, name: &str, value: &str) {
    reply.bulk(name.as_bytes());
    reply.bulk(value.as_bytes());
}

fn write_docs<'a>(specs: impl Iterator<Item = &'a CommandSpec> + Clone, reply: &mut Reply<'_>) {
    reply.map(specs.clone().count());
    for spec in specs {
        reply.bulk(spec.name.as_bytes());
        reply.map(3);
        write_pair(reply, "summary", spec.summary);
        write_pair(reply, "since", spec.since);
        write_pair(reply, "group", spec.group.name());
    }
}

/// `COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN glob]`
fn list(filter: &[&[u8]], reply: &mut Reply<'_>) {
    let [] = filter else {
        let [filter_by, kind, value] = filter else {
            return reply.error("ERR syntax error");
        };
        if !filter_by.eq_ignore_ascii_case(b"filterby") {
            return reply.error("ERR syntax error");
        }
        return match kind.to_ascii_lowercase().as_slice() {
            b"module" => reply.set(0),
            b"aclcat" => write_names(reply, |spec| {
                categories(spec).any(|name| name.as_bytes()[1..].eq_ignore_ascii_case(value))
            }),
            b"pattern" => write_names(reply, |spec| {
                glob::matches_ignoring_case(value, spec.name.as_bytes())
            }),
            _ => reply.error("ERR syntax error"),
        };
    };
    write_names(reply, |_| true);
}

fn write_names(reply: &mut Reply<'_>, takes: impl Fn(&CommandSpec) -> bool) {
    let taken = || all().iter().filter(|spec| takes(spec));
    reply.set(taken().count());
    taken().for_each(|spec| reply.bulk(spec.name.as_bytes()));
}

/// Answers `COMMAND GETKEYS name arg...`; `write` writes one key.
fn get_keys(command: &[&[u8]], reply: &mut Reply<'_>, write: impl Fn(&[u8], &mut Reply<'_>)) {
    let Some(spec) = lookup(command[0]) else {
        return reply.error("ERR Invalid command specified");
    };
    if spec.first_key == 0 {
        return reply.error("ERR The command has no key arguments");
    }
    if !spec.accepts(command.len()) {
        return reply.error("ERR Invalid number of arguments specified for command");
    }
    let keys = spec.key_indexes(command.len());
    if keys.len() == 0 {
        return reply.error("ERR The command has no key arguments");
    }
    reply.array(keys.len());
    keys.for_each(|index| write(command[index], reply));
}

fn write_help(reply: &mut Reply<'_>) {
    let lines = [
        "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "(no subcommand)",
        "    Details of all commands.",
        "COUNT",
        "    The number of commands.",
        "DOCS [<command-name> ...]",
        "    What commands do; all of them without a name.",
        "GETKEYS <full-command>",
        "    The keys of a full command.",
        "GETKEYSANDFLAGS <full-command>",
        "    The keys of a full command and what is done to them.",
        "INFO [<command-name> ...]",
        "    Details of commands; of all of them without a name.",
        "LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]",
        "    The names of commands.",
        "HELP",
        "    This text.",
    ];
    reply.array(lines.len());
    for line in lines {
        reply.simple(line);
    }
}
