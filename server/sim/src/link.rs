//! A link with its two directions: bytes arrive in order, late, or not at all.

use crate::failure::Failure;
use crate::feed::{self, Feed};
use crate::instance::Instance;
use crate::pull::{self, Pull};
use crate::random::Random;
use crate::sabotage::Sabotage;
use crate::settings::Settings;
use std::collections::VecDeque;
use tandem_proto::status::LinkKind;
use tandem_replicate::handshake::check_welcome;
use tandem_replicate::message::{FRAME_BYTES_MAX, FRAME_HEAD, check_frame, frame_length};
use tandem_replicate::{Hello, Message, RefuseCode, Verdict};

/// One direction.
#[derive(Default)]
struct Pipe {
    frames: VecDeque<(u64, Vec<u8>)>,
    last_ms: u64,
}

impl Pipe {
    fn send(&mut self, bytes: Vec<u8>, due_ms: u64) {
        if !bytes.is_empty() {
            self.last_ms = self.last_ms.max(due_ms);
            self.frames.push_back((self.last_ms, bytes));
        }
    }

    fn receive(&mut self, now_ms: u64) -> Option<Vec<u8>> {
        let arrived = self.frames.pop_front_if(|(due, _)| *due <= now_ms)?;
        Some(arrived.1)
    }
}

/// Why a link is over.
#[derive(Debug)]
pub(crate) enum Over {
    /// It is dialled again later.
    Passing(String),
    /// The source refused it, or no longer has what is missing.
    Refused(RefuseCode),
    /// A promise was broken.
    Broken(Failure),
}

/// One link.
pub(crate) struct Link {
    pub(crate) kind: LinkKind,
    pub(crate) receiver: usize,
    pub(crate) source: usize,
    hello: Hello,
    to_source: Pipe,
    to_receiver: Pipe,
    feed: Option<Feed>,
    pub(crate) pull: Option<Pull>,
}

/// What a step of a link may look at.
pub(crate) struct Around<'w> {
    pub(crate) settings: &'w Settings,
    pub(crate) members: &'w [u32],
    pub(crate) now_ms: u64,
    pub(crate) sabotage: Sabotage,
    pub(crate) random: &'w mut Random,
}

impl Around<'_> {
    fn due(&mut self) -> u64 {
        self.now_ms + self.random.below(self.settings.delay_ms_max as usize + 1) as u64
    }
}

/// Calls `each` with the messages of some frames.
fn messages(
    bytes: &[u8],
    mut each: impl FnMut(Message<'_>) -> Result<(), Over>,
) -> Result<(), Over> {
    let broken = |text: String| Over::Broken(Failure::new("wire", text));
    let mut rest = bytes;
    while let Some((head, more)) = rest.split_first_chunk::<FRAME_HEAD>() {
        let length = frame_length(*head, FRAME_BYTES_MAX).map_err(|e| broken(e.to_string()))?;
        let (payload, behind) = more.split_at(length);
        check_frame(*head, payload).map_err(|e| broken(e.to_string()))?;
        each(Message::decode(payload).map_err(|e| broken(e.to_string()))?)?;
        rest = behind;
    }
    Ok(())
}

impl Link {
    /// Dials.
    pub(crate) fn dial(
        kind: LinkKind,
        receiver: usize,
        source: usize,
        instance: &Instance,
        around: &mut Around<'_>,
    ) -> Option<Self> {
        let wish = match kind {
            LinkKind::Handover => instance.handover_wish,
            _ => instance.wish,
        };
        let hello = pull::hello(instance, kind, wish)?;
        let mut to_source = Pipe::default();
        let mut bytes = Vec::new();
        Message::Hello(Box::new(hello.clone())).encode(&mut bytes);
        to_source.send(bytes, around.due());
        Some(Self {
            kind,
            receiver,
            source,
            hello,
            to_source,
            to_receiver: Pipe::default(),
            feed: None,
            pull: None,
        })
    }

    /// Moves what has arrived, and sends what may be sent.
    pub(crate) fn step(
        &mut self,
        instances: &mut [Instance],
        around: &mut Around<'_>,
    ) -> Result<(), Over> {
        while let Some(bytes) = self.to_source.receive(around.now_ms) {
            messages(&bytes, |message| self.at_source(message, instances, around))?;
        }
        if let Some(feed) = &mut self.feed {
            let mut out = Vec::new();
            let stepped = feed.step(&mut instances[self.source], around.random, &mut out);
            let due = around.due();
            self.to_receiver.send(out, due);
            stepped.map_err(source_ended)?;
        }
        while let Some(bytes) = self.to_receiver.receive(around.now_ms) {
            messages(&bytes, |message| {
                self.at_receiver(message, instances, around)
            })?;
        }
        if let Some(pull) = &mut self.pull {
            let mut out = Vec::new();
            let stepped = pull.step(&mut out);
            let due = around.due();
            self.to_source.send(out, due);
            stepped.map_err(receiver_ended)?;
        }
        Ok(())
    }

    fn at_source(
        &mut self,
        message: Message<'_>,
        instances: &mut [Instance],
        around: &mut Around<'_>,
    ) -> Result<(), Over> {
        let source = &mut instances[self.source];
        if let Some(feed) = &mut self.feed {
            let taken = feed.message(source, message, around.now_ms);
            return taken.map_err(Over::Broken);
        }
        let Message::Hello(hello) = message else {
            return Err(Over::Broken(Failure::new("confused", "no hello")));
        };
        let mut out = Vec::new();
        match feed::answer(source, &hello, around.members, around.sabotage) {
            Ok(welcome) => {
                beyond(source, &hello.databases[0].origins, &hello.databases[0].vv)?;
                Message::Welcome(Box::new(welcome.clone())).encode(&mut out);
                if !matches!(welcome.databases[0].verdict, Verdict::Refused(_)) {
                    let feed = Feed::begin(
                        source,
                        &hello,
                        &welcome,
                        around.settings.window_records,
                        around.now_ms,
                        around.sabotage,
                        &mut out,
                    );
                    self.feed = Some(feed.map_err(source_ended)?);
                }
            }
            Err(refusal) => Message::Refuse(refusal).encode(&mut out),
        }
        let due = around.due();
        self.to_receiver.send(out, due);
        Ok(())
    }

    fn at_receiver(
        &mut self,
        message: Message<'_>,
        instances: &mut [Instance],
        around: &mut Around<'_>,
    ) -> Result<(), Over> {
        let receiver = &mut instances[self.receiver];
        if let Some(pull) = &mut self.pull {
            let mut out = Vec::new();
            let taken = pull.message(receiver, message, &mut out);
            let due = around.due();
            self.to_source.send(out, due);
            return taken.map_err(receiver_ended);
        }
        let welcome = match message {
            Message::Welcome(welcome) => welcome,
            Message::Refuse(refusal) => return Err(Over::Refused(refusal.code)),
            other => {
                let text = format!("{other:?} for a welcome");
                return Err(Over::Broken(Failure::new("confused", text)));
            }
        };
        if let Err(refusal) = check_welcome(&self.hello, &welcome, None) {
            return Err(Over::Refused(refusal.code));
        }
        let answer = &welcome.databases[0];
        beyond(receiver, &answer.origins, &answer.vv)?;
        if let Verdict::Refused(refusal) = &answer.verdict {
            return Err(Over::Refused(refusal.code));
        }
        receiver.identity.epoch = match self.kind {
            LinkKind::Replica => receiver.identity.epoch.max(welcome.epoch),
            _ => receiver.identity.epoch,
        };
        let pull = Pull::begin(receiver, &self.hello, &welcome, around.sabotage);
        self.pull = Some(pull.map_err(receiver_ended)?);
        Ok(())
    }
}

/// An own life that reaches further elsewhere than here was written twice.
fn beyond(
    here: &Instance,
    origins: &tandem_merge::Origins,
    vv: &tandem_merge::VersionVector,
) -> Result<(), Over> {
    let Some(own) = here.own() else {
        return Ok(());
    };
    let theirs = origins.get(&own).map_or(0, |index| vv.high(index));
    let mine = here.held().get(&own).map_or(0, |row| row.high);
    if theirs > mine {
        let text = format!(
            "{}: own life reaches {theirs} elsewhere, {mine} here",
            here.name
        );
        return Err(Over::Broken(Failure::new("cloned", text)));
    }
    Ok(())
}

fn source_ended(end: feed::End) -> Over {
    match end {
        feed::End::LostPlace => Over::Refused(RefuseCode::LostPlace),
        feed::End::Passing(text) => Over::Passing(text),
        feed::End::Broken(failure) => Over::Broken(failure),
    }
}

fn receiver_ended(end: pull::End) -> Over {
    match end {
        pull::End::Passing(text) => Over::Passing(text),
        pull::End::Broken(failure) => Over::Broken(failure),
    }
}
