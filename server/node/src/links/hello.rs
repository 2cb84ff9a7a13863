//! The words of the handshake, made of what the instance is and holds.

use super::shared::{Settings, Shared};
use crate::instance::Instance;
use crate::meta::{Meta, StoredRole};
use std::collections::BTreeMap;
use std::io;
use tandem_merge::{Origin, Origins, VersionVector};
use tandem_proto::status::LinkKind;
use tandem_replicate::handshake::{Held, Local, judge, shorten};
use tandem_replicate::message::{FORMAT, WelcomeDatabase};
use tandem_replicate::{
    Decision, FullMode, Hello, HelloDatabase, Refusal, RefuseCode, Verdict, Welcome,
};

/// What the receiver says.
pub(super) fn hello(
    shared: &Shared,
    settings: &Settings,
    kind: LinkKind,
    by_hand: bool,
    wish: Option<FullMode>,
) -> Hello {
    let meta = shared.instance.meta();
    let own = shared.own();
    let databases = shared.instance.store.opened().map(|database| {
        let commit = database.commit();
        HelloDatabase {
            number: database.number,
            origins: commit.history.origins.clone(),
            vv: commit.history.vv.clone(),
            wish,
        }
    });
    Hello {
        format: FORMAT,
        kind,
        cluster_id: meta.cluster_id,
        cluster_agreed: meta.cluster_agreed,
        server_id: meta.server_id,
        instance_id: meta.instance_id,
        run: shared.run,
        own,
        epoch: meta.epoch,
        by_hand,
        host: settings.announce_host.clone(),
        port: settings.announce_port,
        password: settings.masterauth.clone(),
        databases: databases.collect(),
    }
}

/// What the source is, for deciding.
pub(super) fn local<'m>(meta: &'m Meta, settings: &'m Settings) -> Local<'m> {
    Local {
        cluster_id: &meta.cluster_id,
        cluster_agreed: meta.cluster_agreed,
        server_id: meta.server_id,
        instance_id: &meta.instance_id,
        epoch: meta.epoch,
        peer: meta.peer.as_ref().map(|peer| peer.server_id),
        members: &meta.members,
        passwords: &settings.passwords,
    }
}

/// What the source answers, database by database. Holds nothing locked between them.
pub(super) fn welcome(
    shared: &Shared,
    settings: &Settings,
    hello: &Hello,
    decision: &Decision,
) -> io::Result<Welcome> {
    let store = &shared.instance.store;
    let nothing = HelloDatabase {
        number: 0,
        origins: Origins::default(),
        vv: VersionVector::new(),
        wish: hello.databases.iter().find_map(|database| database.wish),
    };
    let mut wanted: BTreeMap<u32, &HelloDatabase> = store
        .opened()
        .map(|database| (database.number, &nothing))
        .collect();
    wanted.extend(
        hello
            .databases
            .iter()
            .map(|database| (database.number, database)),
    );
    let mut databases = Vec::new();
    for (number, theirs) in wanted {
        let database = match store.database(number) {
            Ok(Some(database)) => database,
            Ok(None) => {
                databases.push(absent(number, store.count()));
                continue;
            }
            Err(error) => return Err(io::Error::other(error)),
        };
        let oldest = database.log.segments().first().map_or(0, |info| info.base);
        let log_bytes = database.log.written().saturating_sub(oldest);
        let commit = database.commit();
        let history = &commit.history;
        let held = Held::new(&theirs.origins, &theirs.vv, &history.origins);
        let verdict = judge(
            hello.kind,
            &held,
            theirs.wish,
            history,
            decision.same_cluster,
        );
        let verdict = shorten(verdict, hello.kind, &held, history, log_bytes);
        databases.push(WelcomeDatabase {
            number,
            origins: history.origins.clone(),
            vv: history.vv.clone(),
            verdict,
        });
    }
    let meta = shared.instance.meta();
    Ok(Welcome {
        cluster_id: decision.cluster_id.clone(),
        server_id: meta.server_id,
        instance_id: meta.instance_id,
        run: shared.run,
        epoch: meta.epoch,
        port: settings.port,
        databases,
    })
}

fn absent(number: u32, count: u32) -> WelcomeDatabase {
    let text = format!(
        "the source has {count} databases and no database {number}; set `databases` to the same \
         number on all instances"
    );
    WelcomeDatabase {
        number,
        origins: Origins::default(),
        vv: VersionVector::new(),
        verdict: Verdict::Refused(Refusal::new(RefuseCode::Database, text)),
    }
}

/// Whether an own life reaches further in another instance's vector than here: somebody else writes
/// under it (rule 8). The vector was taken before now, so an honest one cannot be ahead.
pub(super) fn own_life_beyond(
    instance: &Instance,
    own: Option<Origin>,
    number: u32,
    origins: &Origins,
    vv: &VersionVector,
) -> Option<Refusal> {
    let own = own?;
    let theirs = origins.get(&own).map_or(0, |index| vv.high(index));
    let mine = instance.store.get(number).map_or(0, |database| {
        let commit = database.commit();
        commit
            .history
            .origins
            .get(&own)
            .map_or(0, |index| commit.history.vv.high(index))
    });
    (theirs > mine).then(|| {
        let text = format!(
            "the life of server id {} that is written here now reaches {theirs} elsewhere and {mine} \
             here in database {number}: one of the two volumes is a clone; start one of them empty",
            own.server_id
        );
        Refusal::new(RefuseCode::Cloned, text)
    })
}

/// Writes down what the source decided.
pub(super) fn remember_as_source(
    instance: &Instance,
    hello: &Hello,
    decision: &Decision,
) -> io::Result<()> {
    instance.update(|meta| {
        if decision.agree {
            meta.cluster_id.clone_from(&decision.cluster_id);
            meta.cluster_agreed = true;
        }
        if hello.kind == LinkKind::Peer && meta.members.is_empty() {
            meta.members = vec![meta.server_id, hello.server_id];
        }
        if hello.kind == LinkKind::Replica && hello.by_hand && hello.server_id == meta.server_id {
            meta.epoch = meta.epoch.max(hello.epoch);
        }
    })
}

/// What both sides said.
#[derive(Debug)]
pub(super) struct Agreed {
    pub(super) hello: Hello,
    pub(super) welcome: Welcome,
    pub(super) adoption: Adoption,
}

/// What a receiver learns from the answer: the data set and the group that it belongs to.
#[derive(Debug)]
pub(super) struct Adoption {
    kind: LinkKind,
    cluster_id: Option<String>,
    server_id: u32,
    epoch: u64,
    waits: bool,
}

impl Adoption {
    pub(super) fn new(kind: LinkKind, welcome: &Welcome, decision: Decision) -> Self {
        let waits = welcome
            .databases
            .iter()
            .any(|answer| match &answer.verdict {
                Verdict::Refused(refusal) => refusal.code == RefuseCode::Foreign,
                Verdict::Full(mode) => *mode == FullMode::Overwrite,
                Verdict::Partial => false,
            });
        Self {
            kind,
            cluster_id: decision.agree.then_some(decision.cluster_id),
            server_id: welcome.server_id,
            epoch: welcome.epoch,
            waits: waits && kind == LinkKind::Replica,
        }
    }

    /// Whether the instance does not belong to the source's data set before its own state was given
    /// up: until then its data are foreign there, also after a crash.
    pub(super) fn waits(&self) -> bool {
        self.waits
    }

    /// Writes it down.
    pub(super) fn remember(&self, instance: &Instance) -> io::Result<()> {
        instance.update(|meta| {
            if let Some(cluster_id) = &self.cluster_id {
                meta.cluster_id.clone_from(cluster_id);
                meta.cluster_agreed = true;
            }
            match self.kind {
                LinkKind::Peer if meta.members.is_empty() => {
                    meta.members = vec![meta.server_id, self.server_id];
                }
                LinkKind::Replica if meta.role == StoredRole::Replica => {
                    if meta.server_id != self.server_id {
                        meta.server_id = self.server_id;
                        meta.epoch = 0;
                    }
                    meta.epoch = meta.epoch.max(self.epoch);
                }
                _ => {}
            }
        })
    }
}
