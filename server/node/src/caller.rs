//! Asking another instance by a command on its client port.

use std::io;
use std::time::Duration;
use tandem_proto::error::ProtocolError;
use tandem_proto::value::{Value, decode, encode_command_into};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::meta::Target;

/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The connection failed.
    #[error("failed to ask {target}: {source}")]
    Io {
        /// Whom.
        target: Target,
        /// Why.
        source: io::Error,
    },
    /// It does not answer in time.
    #[error("{0} does not answer in time")]
    Late(Target),
    /// What it says is no reply.
    #[error("{target} does not speak RESP: {source}")]
    Protocol {
        /// Whom.
        target: Target,
        /// Why.
        source: ProtocolError,
    },
    /// It refused.
    #[error("{target} answered: {text}")]
    Refused {
        /// Whom.
        target: Target,
        /// Its words.
        text: String,
    },
}

/// Asks one command, after AUTH when a password is given. An error reply is [`CallError::Refused`].
pub(crate) async fn call(
    target: &Target,
    password: Option<&str>,
    words: &[&str],
    patience: Duration,
) -> Result<Value, CallError> {
    let deadline = Instant::now() + patience;
    timeout_at(deadline, ask(target, password, words))
        .await
        .map_err(|_| CallError::Late(target.clone()))?
}

async fn ask(target: &Target, password: Option<&str>, words: &[&str]) -> Result<Value, CallError> {
    let failed = |source| CallError::Io {
        target: target.clone(),
        source,
    };
    let mut socket = TcpStream::connect((target.host.as_str(), target.port))
        .await
        .map_err(failed)?;
    let mut bytes = Vec::new();
    if let Some(password) = password {
        encode_command_into(["AUTH", password], &mut bytes);
    }
    encode_command_into(words, &mut bytes);
    socket.write_all(&bytes).await.map_err(failed)?;
    let mut input = Vec::new();
    if password.is_some() {
        match next(&mut socket, &mut input, target).await? {
            // A server without a password says so, and answers all the same.
            Value::Error(text) if text.starts_with("WRONGPASS") => {
                return Err(CallError::Refused {
                    target: target.clone(),
                    text,
                });
            }
            _ => {}
        }
    }
    match next(&mut socket, &mut input, target).await? {
        Value::Error(text) => Err(CallError::Refused {
            target: target.clone(),
            text,
        }),
        value => Ok(value),
    }
}

async fn next(
    socket: &mut TcpStream,
    input: &mut Vec<u8>,
    target: &Target,
) -> Result<Value, CallError> {
    let failed = |source| CallError::Io {
        target: target.clone(),
        source,
    };
    loop {
        let decoded = decode(input).map_err(|source| CallError::Protocol {
            target: target.clone(),
            source,
        })?;
        if let Some((value, used)) = decoded {
            input.drain(..used);
            return Ok(value);
        }
        if input.len() > ANSWER_BYTES_MAX {
            return Err(failed(io::Error::other("the answer is too long")));
        }
        if socket.read_buf(input).await.map_err(failed)? == 0 {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}
