//! Settings that must go together, or must not.

use super::error::{ConfigError, Origin};
use super::{Address, Config};

/// Refuses settings that contradict each other. `origin` tells where a key was set.
pub(super) fn check(
    config: &Config,
    origin: &dyn Fn(&str) -> Option<Origin>,
) -> Result<(), ConfigError> {
    let refuse = |keys: &[&str], problem: String, remedy: &str| {
        let origin = keys
            .iter()
            .find_map(|key| origin(key))
            .unwrap_or(Origin::Default);
        Err(ConfigError::Combination {
            origin,
            problem,
            remedy: remedy.to_owned(),
        })
    };
    check_ports(config, &refuse)?;
    check_passwords(config, origin, &refuse)?;
    check_pair(config, &refuse)?;
    if let Some(primary) = config
        .replicaof
        .as_ref()
        .filter(|primary| is_self(config, primary))
    {
        return refuse(
            &["replicaof"],
            format!("`replicaof` names this server itself ({primary})"),
            "give the host and port of its primary",
        );
    }
    Ok(())
}

fn check_ports(
    config: &Config,
    refuse: &impl Fn(&[&str], String, &str) -> Result<(), ConfigError>,
) -> Result<(), ConfigError> {
    let taken = [config.port, config.link_port()];
    if config.metrics_port != 0 && taken.contains(&config.metrics_port) {
        return refuse(
            &["metrics-port", "port"],
            format!(
                "`metrics-port` is {}, which clients or links use",
                config.metrics_port
            ),
            "give metrics a port of their own, such as 9121",
        );
    }
    Ok(())
}

fn check_passwords(
    config: &Config,
    origin: &dyn Fn(&str) -> Option<Origin>,
    refuse: &impl Fn(&[&str], String, &str) -> Result<(), ConfigError>,
) -> Result<(), ConfigError> {
    let twice = [
        (
            "requirepass",
            "requirepass-file",
            config.requirepass.is_some() && config.requirepass_file.is_some(),
        ),
        (
            "masterauth",
            "masterauth-file",
            config.masterauth.is_some() && config.masterauth_file.is_some(),
        ),
    ];
    for (plain, file, is_twice) in twice {
        // By CONFIG SET a password from a file is replaced until the next start.
        if is_twice && !matches!(origin(file), None | Some(Origin::ConfigSet)) {
            return refuse(
                &[plain, file],
                format!("`{plain}` and `{file}` are both set"),
                "keep one of the two",
            );
        }
    }
    Ok(())
}

fn check_pair(
    config: &Config,
    refuse: &impl Fn(&[&str], String, &str) -> Result<(), ConfigError>,
) -> Result<(), ConfigError> {
    let parts = [
        ("double-master-ip", !config.double_master_ip.is_empty()),
        ("double-master-port", config.double_master_port != 0),
        (
            "double-master-server-id",
            config.double_master_server_id != 0,
        ),
    ];
    let keys_where = |given| {
        parts
            .into_iter()
            .filter(move |part| part.1 == given)
            .map(|p| p.0)
    };
    let given: Vec<&str> = keys_where(true).collect();
    let missing: Vec<String> = keys_where(false).map(|key| format!("`{key}`")).collect();
    if !given.is_empty() && !missing.is_empty() {
        return refuse(
            &given,
            format!("`{}` is set without {}", given[0], missing.join(" and ")),
            "set all three double-master keys together, or none",
        );
    }
    if let Some(peer) = config.double_master() {
        if config.server_id == 0 {
            return refuse(
                &given,
                "a double master needs an id of its own, and `server-id` is not set".to_owned(),
                "set `server-id` to a number from 1 to 127 other than the peer's",
            );
        }
        if config.server_id == peer.server_id {
            return refuse(
                &["double-master-server-id", "server-id"],
                format!(
                    "`server-id` and `double-master-server-id` are both {}",
                    peer.server_id
                ),
                "give each master an id of its own",
            );
        }
        if config.replicaof.is_some() {
            return refuse(
                &["replicaof", "double-master-ip"],
                "`replicaof` and the double-master keys are both set".to_owned(),
                "keep one: a replica of a master, or a master of a pair",
            );
        }
        if is_self(config, &peer.address) {
            return refuse(
                &given,
                format!(
                    "the double-master keys name this server itself ({})",
                    peer.address
                ),
                "set `double-master-ip` and `double-master-port` to those of the other master",
            );
        }
    }
    Ok(())
}

/// Whether a connection to `address` would arrive at this server, as far as the configuration
/// tells; names are not looked up.
fn is_self(config: &Config, address: &Address) -> bool {
    let is_announced = config.replica_announce_ip.as_ref() == Some(&address.host)
        && config.replica_announce_port.unwrap_or(config.port) == address.port;
    let is_bound = address.port == config.port
        && config
            .bind
            .iter()
            .any(|bind| bind.is_reached_by(&address.host));
    is_announced || is_bound
}

/// Gives what is allowed but unwise; passwords in files have been read.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    let is_exposed = config.bind.iter().any(|bind| !bind.ip.is_loopback());
    if is_exposed && config.requirepass.is_none() {
        warnings.push(
            "`bind` lets other machines in and no password is asked for; set `requirepass`, or \
             bind to loopback addresses only"
                .to_owned(),
        );
    }
    let dials = config.replicaof.is_some() || config.double_master().is_some();
    if dials && config.requirepass.is_some() && config.masterauth.is_none() {
        warnings.push(
            "`requirepass` is set and `masterauth` is not; if the other server has a password, \
             too, its links are refused until `masterauth` is that password"
                .to_owned(),
        );
    }
    if !config.replica_read_only {
        warnings.push(
            "`replica-read-only no` has no effect: a replica never takes writes of clients; make \
             it a master of a pair to write on both sides"
                .to_owned(),
        );
    }
    if config.repl_ping_replica_period >= config.repl_timeout {
        warnings.push(
            "`repl-ping-replica-period` is not below `repl-timeout`; an idle link will be taken \
             as broken"
                .to_owned(),
        );
    }
    warnings
}
