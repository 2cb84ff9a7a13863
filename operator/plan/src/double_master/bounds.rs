//! Bounds and forms of values, as the definition of the resource has them: an object that comes from a
//! file has been through no API server.

use std::collections::BTreeMap;

use tandem_api::double_master::{DoubleMasterSpec, OPERATOR_KEYS};

use super::invalid::InvalidSpec;
use crate::timing::Timing;

/// Bounds of the intervals, as the definition of the resource has them.
pub(super) fn check_intervals(timing: &Timing) -> Result<(), InvalidSpec> {
    let intervals = [
        ("probeIntervalMs", timing.probe_interval_ms, 20, 60_000),
        ("hangTimeoutMs", timing.hang_ms, 100, 600_000),
        ("linkTimeoutMs", timing.link_ms, 100, 600_000),
        ("diskTimeoutMs", timing.disk_ms, 1000, 3_600_000),
        ("quietMs", timing.quiet_ms, 0, 3_600_000),
        ("collectMs", timing.collect_ms, 0, 600_000),
        ("assembleMs", timing.assemble_ms, 0, 3_600_000),
        ("restartHungMs", timing.restart_hung_ms, 1000, 86_400_000),
        ("openMs", timing.open_ms, 1000, 7_200_000),
        ("apartMs", timing.apart_ms, 0, 86_400_000),
    ];
    for (field, found, least, most) in intervals {
        if !(least..=most).contains(&found) {
            return Err(InvalidSpec::Interval {
                field,
                found,
                least,
                most,
            });
        }
    }
    if timing.hang_ms < 2 * timing.probe_interval_ms {
        return Err(InvalidSpec::HangTimeout {
            hang_ms: timing.hang_ms,
            probe_ms: timing.probe_interval_ms,
        });
    }
    if timing.open_ms < timing.collect_ms + timing.hang_ms {
        return Err(InvalidSpec::OpenTime {
            open_ms: timing.open_ms,
            collect_ms: timing.collect_ms,
            hang_ms: timing.hang_ms,
        });
    }
    Ok(())
}

/// A Kubernetes quantity of bytes: a number and perhaps a unit.
fn is_size(text: &str) -> bool {
    let number = text.trim_end_matches('i');
    let number = number
        .strip_suffix(['k', 'K', 'M', 'G', 'T', 'P', 'E'])
        .unwrap_or(number);
    let mut parts = number.splitn(2, '.');
    text.len() <= 32
        && !text.ends_with("ii")
        && (!text.ends_with('i') || number.len() + 2 == text.len())
        && parts.all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The name of a Secret, which is also that of a file: never a path.
fn is_secret_name(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= 253
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().last().is_some_and(is_word)
        && text
            .bytes()
            .all(|byte| is_word(byte) || byte == b'-' || byte == b'.')
}

/// Checks what is text in the object and has to have a form.
pub(super) fn check_words(spec: &DoubleMasterSpec) -> Result<(), InvalidSpec> {
    if !is_size(&spec.storage.size) {
        return Err(InvalidSpec::Size {
            found: spec.storage.size.clone(),
        });
    }
    let secret_name = spec
        .auth
        .as_ref()
        .and_then(|auth| auth.secret_name.as_ref());
    if let Some(found) = secret_name.filter(|name| !is_secret_name(name)) {
        return Err(InvalidSpec::SecretName {
            found: found.clone(),
        });
    }
    Ok(())
}

/// Checks the configuration of the instances, as far as it can be told without a server.
pub(super) fn check_config(config: &BTreeMap<String, String>) -> Result<(), InvalidSpec> {
    for (key, value) in config {
        if OPERATOR_KEYS.contains(&key.as_str()) {
            return Err(InvalidSpec::OperatorKey { key: key.clone() });
        }
        let is_word = !key.is_empty()
            && key
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !is_word || key.starts_with('-') || value.chars().any(char::is_control) {
            return Err(InvalidSpec::MalformedKey { key: key.clone() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_quantities() {
        for size in ["1", "10Gi", "1.5T", "200M", "20k"] {
            assert!(is_size(size), "{size}");
        }
        for size in [
            "", "Gi", "10GB", "1i", "1Gii", "1.", ".5G", "-1G", "1 G", "1.2.3",
        ] {
            assert!(!is_size(size), "{size}");
        }
    }
}
