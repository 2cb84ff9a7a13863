//! Messages as bytes.

use super::frame::{close_frame, open_frame};
use super::hello::{
    FullMode, Hello, HelloDatabase, Refusal, RefuseCode, Verdict, Welcome, WelcomeDatabase,
};
use super::{Ack, Message, MessageError, Rows};
use tandem_merge::codec::{DecodeError, Reader, put_prefixed, put_varint};
use tandem_merge::{Origin, OriginIndex, Origins, VersionVector};
use tandem_proto::status::LinkKind;

/// Type bytes; never reused.
pub(super) mod kind {
    pub(in crate::message) const HELLO: u8 = 1;
    pub(in crate::message) const WELCOME: u8 = 2;
    pub(in crate::message) const REFUSE: u8 = 3;
    pub(in crate::message) const ORIGINS: u8 = 4;
    pub(in crate::message) const RECORDS: u8 = 5;
    pub(in crate::message) const HEAD: u8 = 6;
    pub(in crate::message) const ACK: u8 = 7;
    pub(in crate::message) const PING: u8 = 8;
    pub(in crate::message) const PONG: u8 = 9;
    pub(in crate::message) const FULL_BEGIN: u8 = 10;
    pub(in crate::message) const FULL_PART: u8 = 11;
    pub(in crate::message) const FULL_SLICE: u8 = 12;
    pub(in crate::message) const FULL_END: u8 = 13;
    pub(in crate::message) const FULL_DONE: u8 = 14;
    pub(in crate::message) const BYE: u8 = 15;
}

impl Message<'_> {
    /// Appends the message as one frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let at = open_frame(out);
        self.put(out);
        close_frame(out, at);
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello(hello) => put_hello(hello, out),
            Self::Welcome(welcome) => put_welcome(welcome, out),
            Self::Refuse(refusal) => {
                out.push(kind::REFUSE);
                put_refusal(refusal, out);
            }
            Self::Origins {
                database,
                first,
                origins,
            } => {
                start(out, kind::ORIGINS, *database);
                put_varint(out, u64::from(*first));
                put_varint(out, origins.len() as u64);
                for origin in origins {
                    origin.encode(out);
                }
            }
            Self::Records {
                database,
                lsn,
                packed,
            } => {
                start(out, kind::RECORDS, *database);
                out.extend_from_slice(&lsn.to_le_bytes());
                out.extend_from_slice(packed);
            }
            Self::Head {
                database,
                lsn,
                head,
                rows,
            } => {
                start(out, kind::HEAD, *database);
                put_varint(out, *lsn);
                put_varint(out, *head);
                put_rows(rows, out);
            }
            Self::Ack(ack) => {
                start(out, kind::ACK, ack.database);
                put_rows(&ack.applied, out);
                put_varint(out, ack.applied_lsn);
                put_varint(out, ack.durable_lsn);
            }
            Self::Ping { clock_ms } => {
                out.push(kind::PING);
                put_varint(out, *clock_ms);
            }
            Self::Pong { clock_ms, asked_ms } => {
                out.push(kind::PONG);
                put_varint(out, *clock_ms);
                put_varint(out, *asked_ms);
            }
            Self::Bye { reason } => {
                out.push(kind::BYE);
                put_prefixed(out, reason.as_bytes());
            }
            _ => self.put_full(out),
        }
    }

    /// The messages of a full resync.
    fn put_full(&self, out: &mut Vec<u8>) {
        match self {
            Self::FullBegin {
                database,
                mode,
                bytes,
                history,
            } => {
                start(out, kind::FULL_BEGIN, *database);
                out.push(mode_byte(*mode));
                put_varint(out, *bytes);
                out.extend_from_slice(history);
            }
            Self::FullPart { database, packed } => {
                start(out, kind::FULL_PART, *database);
                out.extend_from_slice(packed);
            }
            Self::FullSlice {
                database,
                first,
                last,
                vv,
                packed,
            } => {
                start(out, kind::FULL_SLICE, *database);
                out.extend_from_slice(&first.to_le_bytes());
                out.extend_from_slice(&last.to_le_bytes());
                vv.encode(out);
                out.extend_from_slice(packed);
            }
            Self::FullEnd { database, vv } => {
                start(out, kind::FULL_END, *database);
                vv.encode(out);
            }
            Self::FullDone { database, vv } => {
                start(out, kind::FULL_DONE, *database);
                vv.encode(out);
            }
            _ => {}
        }
    }

    /// Reads type and body of a frame.
    pub fn decode(payload: &[u8]) -> Result<Message<'_>, MessageError> {
        let mut reader = Reader::new(payload);
        let r = &mut reader;
        let message = match r.byte("message type")? {
            kind::HELLO => Message::Hello(Box::new(take_hello(r)?)),
            kind::WELCOME => Message::Welcome(Box::new(take_welcome(r)?)),
            kind::REFUSE => Message::Refuse(take_refusal(r)?),
            kind::ORIGINS => {
                let database = r.varint32("database")?;
                let first = r.varint32("first origin")?;
                let count = r.varint("origin count")?;
                let origins = (0..count)
                    .map(|_| Origin::decode(r))
                    .collect::<Result<_, _>>()?;
                Message::Origins {
                    database,
                    first,
                    origins,
                }
            }
            kind::RECORDS => {
                let (database, lsn) = (r.varint32("database")?, r.fixed64("lsn")?);
                return Ok(Message::Records {
                    database,
                    lsn,
                    packed: r.rest(),
                });
            }
            kind::HEAD => Message::Head {
                database: r.varint32("database")?,
                lsn: r.varint("lsn")?,
                head: r.varint("head")?,
                rows: take_rows(r)?,
            },
            kind::ACK => Message::Ack(Ack {
                database: r.varint32("database")?,
                applied: take_rows(r)?,
                applied_lsn: r.varint("applied lsn")?,
                durable_lsn: r.varint("durable lsn")?,
            }),
            kind::PING => Message::Ping {
                clock_ms: r.varint("clock")?,
            },
            kind::PONG => Message::Pong {
                clock_ms: r.varint("clock")?,
                asked_ms: r.varint("asked clock")?,
            },
            kind::BYE => Message::Bye {
                reason: take_text(r, "reason")?,
            },
            other => return take_full(other, r),
        };
        if reader.is_empty() {
            Ok(message)
        } else {
            Err(reader.error("end of message").into())
        }
    }
}

fn take_full<'a>(which: u8, r: &mut Reader<'a>) -> Result<Message<'a>, MessageError> {
    if !(kind::FULL_BEGIN..=kind::FULL_DONE).contains(&which) {
        return Err(MessageError::Type(which));
    }
    let database = r.varint32("database")?;
    Ok(match which {
        kind::FULL_BEGIN => Message::FullBegin {
            database,
            mode: take_mode(r)?,
            bytes: r.varint("bytes")?,
            history: r.rest(),
        },
        kind::FULL_PART => Message::FullPart {
            database,
            packed: r.rest(),
        },
        kind::FULL_SLICE => Message::FullSlice {
            database,
            first: r.fixed64("first hash")?,
            last: r.fixed64("last hash")?,
            vv: VersionVector::decode(r)?,
            packed: r.rest(),
        },
        kind::FULL_END => Message::FullEnd {
            database,
            vv: VersionVector::decode(r)?,
        },
        _ => Message::FullDone {
            database,
            vv: VersionVector::decode(r)?,
        },
    })
}

fn start(out: &mut Vec<u8>, which: u8, database: u32) {
    out.push(which);
    put_varint(out, u64::from(database));
}

fn put_rows(rows: &Rows, out: &mut Vec<u8>) {
    put_varint(out, rows.len() as u64);
    for (origin, high) in rows {
        put_varint(out, u64::from(origin.0));
        put_varint(out, *high);
    }
}

fn take_rows(r: &mut Reader<'_>) -> Result<Rows, DecodeError> {
    let count = r.varint("row count")?;
    (0..count)
        .map(|_| {
            Ok((
                OriginIndex(r.varint32("origin")?),
                r.varint("highest sequence")?,
            ))
        })
        .collect()
}

fn take_text(r: &mut Reader<'_>, what: &'static str) -> Result<String, DecodeError> {
    let bytes = r.prefixed(what)?;
    String::from_utf8(bytes.to_vec()).map_err(|_| r.error(what))
}

fn put_refusal(refusal: &Refusal, out: &mut Vec<u8>) {
    out.push(refusal.code as u8);
    put_prefixed(out, refusal.reason.as_bytes());
}

fn take_refusal(r: &mut Reader<'_>) -> Result<Refusal, DecodeError> {
    // NOTE: a later release may refuse for a reason that this one does not know; the text says it.
    let code = RefuseCode::from_u8(r.byte("refusal code")?).unwrap_or(RefuseCode::Failed);
    Ok(Refusal {
        code,
        reason: take_text(r, "refusal reason")?,
    })
}

fn mode_byte(mode: FullMode) -> u8 {
    match mode {
        FullMode::Merge => 1,
        FullMode::Replace => 2,
        FullMode::Overwrite => 3,
    }
}

fn take_mode(r: &mut Reader<'_>) -> Result<FullMode, DecodeError> {
    match r.byte("mode")? {
        1 => Ok(FullMode::Merge),
        2 => Ok(FullMode::Replace),
        3 => Ok(FullMode::Overwrite),
        _ => Err(r.error("mode")),
    }
}

fn put_hello(hello: &Hello, out: &mut Vec<u8>) {
    out.push(kind::HELLO);
    put_varint(out, u64::from(hello.format));
    out.push(match hello.kind {
        LinkKind::Replica => 1,
        LinkKind::Peer => 2,
        LinkKind::Handover => 3,
    });
    put_prefixed(out, hello.cluster_id.as_bytes());
    out.push(u8::from(hello.cluster_agreed));
    put_varint(out, u64::from(hello.server_id));
    put_prefixed(out, hello.instance_id.as_bytes());
    out.extend_from_slice(&hello.run.to_le_bytes());
    out.push(u8::from(hello.own.is_some()));
    if let Some(own) = &hello.own {
        own.encode(out);
    }
    put_varint(out, hello.epoch);
    out.push(u8::from(hello.by_hand));
    put_prefixed(out, hello.host.as_bytes());
    put_varint(out, u64::from(hello.port));
    put_prefixed(out, &hello.password);
    put_varint(out, hello.databases.len() as u64);
    for database in &hello.databases {
        put_varint(out, u64::from(database.number));
        database.origins.encode(out);
        database.vv.encode(out);
        out.push(database.wish.map_or(0, mode_byte));
    }
}

fn take_hello(r: &mut Reader<'_>) -> Result<Hello, MessageError> {
    let format = r.varint32("format")?;
    let kind = match r.byte("link kind")? {
        1 => LinkKind::Replica,
        2 => LinkKind::Peer,
        3 => LinkKind::Handover,
        _ => return Err(r.error("link kind").into()),
    };
    let cluster_id = take_text(r, "cluster id")?;
    let cluster_agreed = r.byte("cluster agreed")? != 0;
    let server_id = r.varint32("server id")?;
    let instance_id = take_text(r, "instance id")?;
    let run = r.fixed64("run")?;
    let own = if r.byte("own life")? == 0 {
        None
    } else {
        Some(Origin::decode(r)?)
    };
    let epoch = r.varint("epoch")?;
    let by_hand = r.byte("by hand")? != 0;
    let host = take_text(r, "host")?;
    let port = take_port(r)?;
    let password = r.prefixed("password")?.to_vec();
    let mut databases = Vec::new();
    for _ in 0..r.varint("database count")? {
        let (number, origins, vv) = take_held(r)?;
        let wish = match r.byte("wish")? {
            0 => None,
            1 => Some(FullMode::Merge),
            2 => Some(FullMode::Replace),
            3 => Some(FullMode::Overwrite),
            _ => return Err(r.error("wish").into()),
        };
        databases.push(HelloDatabase {
            number,
            origins,
            vv,
            wish,
        });
    }
    Ok(Hello {
        format,
        kind,
        cluster_id,
        cluster_agreed,
        server_id,
        instance_id,
        run,
        own,
        epoch,
        by_hand,
        host,
        port,
        password,
        databases,
    })
}

fn take_port(r: &mut Reader<'_>) -> Result<u16, DecodeError> {
    u16::try_from(r.varint("port")?).map_err(|_| r.error("port"))
}

/// Number, origins and vector of a database; no row may be of an origin outside of the table.
fn take_held(r: &mut Reader<'_>) -> Result<(u32, Origins, VersionVector), DecodeError> {
    let number = r.varint32("database")?;
    let origins = Origins::decode(r)?;
    let vv = VersionVector::decode(r)?;
    if vv.rows().any(|(origin, _)| origin.at() >= origins.len()) {
        return Err(r.error("origin in the table"));
    }
    Ok((number, origins, vv))
}

fn put_welcome(welcome: &Welcome, out: &mut Vec<u8>) {
    out.push(kind::WELCOME);
    put_prefixed(out, welcome.cluster_id.as_bytes());
    put_varint(out, u64::from(welcome.server_id));
    put_prefixed(out, welcome.instance_id.as_bytes());
    out.extend_from_slice(&welcome.run.to_le_bytes());
    put_varint(out, welcome.epoch);
    put_varint(out, u64::from(welcome.port));
    put_varint(out, welcome.databases.len() as u64);
    for database in &welcome.databases {
        put_varint(out, u64::from(database.number));
        database.origins.encode(out);
        database.vv.encode(out);
        match &database.verdict {
            Verdict::Partial => out.push(1),
            Verdict::Full(mode) => {
                out.push(2);
                out.push(mode_byte(*mode));
            }
            Verdict::Refused(refusal) => {
                out.push(3);
                put_refusal(refusal, out);
            }
        }
    }
}

fn take_welcome(r: &mut Reader<'_>) -> Result<Welcome, MessageError> {
    let cluster_id = take_text(r, "cluster id")?;
    let server_id = r.varint32("server id")?;
    let instance_id = take_text(r, "instance id")?;
    let run = r.fixed64("run")?;
    let epoch = r.varint("epoch")?;
    let port = take_port(r)?;
    let mut databases = Vec::new();
    for _ in 0..r.varint("database count")? {
        let (number, origins, vv) = take_held(r)?;
        let verdict = match r.byte("verdict")? {
            1 => Verdict::Partial,
            2 => Verdict::Full(take_mode(r)?),
            3 => Verdict::Refused(take_refusal(r)?),
            _ => return Err(r.error("verdict").into()),
        };
        databases.push(WelcomeDatabase {
            number,
            origins,
            vv,
            verdict,
        });
    }
    Ok(Welcome {
        cluster_id,
        server_id,
        instance_id,
        run,
        epoch,
        port,
        databases,
    })
}
