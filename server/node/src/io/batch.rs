//! The commands of one connection that are there at once: all parsed, their keys' memory asked for,
//! then run one after the other.

use super::connection::{Connection, Hold};
use super::inbox::{Inbox, Ticket};
use super::turn::Turn;
use crate::dispatch::{self, Ahead, Flow};
use crate::server::Server;
use std::sync::Arc;
use std::time::Instant;
use tandem_proto::resp::{Args, Limits, Parsed, parse_command};
use tandem_store::Database;

/// Most commands that are looked at ahead: about as many cache misses as a core has in flight.
const COMMANDS_MAX: usize = 16;

/// Room for parsed commands, used again for every batch.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    commands: [Parsing; COMMANDS_MAX],
    count: usize,
}

#[derive(Debug, Default)]
struct Parsing {
    args: Args,
    /// Bytes the request took.
    length: usize,
    ahead: Ahead,
}

impl Batch {
    /// Parses what is there and runs it. False: no more can be done with what was read.
    pub(crate) fn run(
        &mut self,
        connection: &mut Connection,
        server: &Arc<Server>,
        inbox: &Arc<Inbox>,
        slot: usize,
        turn: &mut Turn,
        limits: &Limits,
    ) -> bool {
        if !self.parse(connection, limits) {
            return false;
        }
        if self.count > 1 {
            let number = connection.session.database;
            if let Some(database) = server.instance.store.get(number) {
                self.fetch(database);
            }
        }
        turn.clock = Instant::now();
        for command in &self.commands[..self.count] {
            if !connection.may_run() {
                return false;
            }
            if command.args.is_empty() {
                connection.consume(command.length);
                continue;
            }
            let (input, session, output) = connection.parts();
            turn.ahead = command.ahead;
            let flow = dispatch::run(server, session, command.args.view(input), output, turn);
            let client = session.id;
            if matches!(flow, Flow::Later) {
                connection.hold = Hold::Paused;
                return false;
            }
            connection.consume(command.length);
            match flow {
                Flow::Next | Flow::Later => {}
                Flow::Close => {
                    connection.closing = true;
                    return false;
                }
                Flow::Elsewhere(job) => {
                    connection.hold = Hold::Elsewhere;
                    server.run_elsewhere(job, Ticket { slot, client }, Arc::clone(inbox));
                    return false;
                }
            }
        }
        true
    }

    /// Parses up to the first request that is not whole, or not right: that one is answered when it
    /// is the first. False: there is none.
    fn parse(&mut self, connection: &mut Connection, limits: &Limits) -> bool {
        let (input, session, output) = connection.parts();
        // What follows AUTH is parsed by other limits.
        let (bounds, most) = if session.authenticated {
            (*limits, COMMANDS_MAX)
        } else {
            (Limits::unauthenticated(), 1)
        };
        self.count = 0;
        let mut at = 0;
        while self.count < most && at < input.len() {
            let command = &mut self.commands[self.count];
            match parse_command(&input[at..], &bounds, &mut command.args) {
                Ok(Parsed::Complete { consumed }) => {
                    command.length = consumed;
                    if !command.args.is_empty() {
                        command.ahead = Ahead::look(command.args.view(&input[at..]));
                    }
                    at += consumed;
                    self.count += 1;
                }
                Ok(Parsed::Incomplete { need }) => {
                    if self.count == 0 {
                        connection.want(need);
                    }
                    break;
                }
                Err(error) => {
                    if self.count == 0 {
                        output.extend_from_slice(format!("-ERR {error}\r\n").as_bytes());
                        connection.closing = true;
                    }
                    break;
                }
            }
        }
        self.count > 0
    }

    /// Asks for the memory of all keys: first the slots of their tables, then the objects.
    fn fetch(&self, database: &Database) {
        let hashes = || {
            let commands = self.commands[..self.count].iter();
            commands.filter_map(|command| command.ahead.hash)
        };
        hashes().for_each(|hash| database.cells.prefetch_slot(hash));
        hashes().for_each(|hash| database.cells.prefetch_object(hash));
    }
}
