//! A status as a table.

use std::fmt::Write as _;

use tandem_api::double_master::{DoubleMasterStatus, LinkSummary, MemberStatus};

const HEAD: [&str; 9] = [
    "MEMBER", "SLOT", "ROLE", "ID", "EPOCH", "ADDRESS", "LAG", "LINKS", "REASON",
];

/// Members, services, conditions and what is awaited.
pub fn render(status: &DoubleMasterStatus) -> String {
    let mut rows = vec![HEAD.map(String::from).to_vec()];
    rows.extend(status.members.iter().map(|member| row(status, member)));
    let mut text = align(&rows);
    text.push('\n');
    for service in &status.services {
        let targets = if service.targets.is_empty() {
            "nobody".into()
        } else {
            service.targets.join(" ")
        };
        let _ = writeln!(
            text,
            "{:<12} {:<16} -> {targets}",
            service.name, service.address
        );
    }
    let conditions: Vec<String> = status
        .conditions
        .iter()
        .map(|condition| {
            format!(
                "{}={} ({})",
                condition.kind,
                condition.status.as_str(),
                condition.reason
            )
        })
        .collect();
    let _ = writeln!(text, "{}", conditions.join("  "));
    for waiting in &status.waits_for {
        let _ = writeln!(text, "waits for {waiting}");
    }
    if let Some(last) = &status.last_failover {
        let _ = write!(
            text,
            "last failover: slot {} {} -> {} ({}), epoch {}",
            last.slot, last.from, last.to, last.cause, last.epoch
        );
        if let Some(ms) = last.rw_outage_ms {
            let _ = write!(text, ", rw outage {ms} ms");
        }
        let _ = writeln!(text, "\n  {}", last.report);
    }
    text
}

fn row(status: &DoubleMasterStatus, member: &MemberStatus) -> Vec<String> {
    let serves_rw = status
        .services
        .iter()
        .any(|service| service.name.ends_with("-rw") && service.targets.contains(&member.name));
    let mark = if serves_rw { "*" } else { "" };
    let links: Vec<String> = member.links.iter().map(link).collect();
    vec![
        format!("{}{mark}", member.name),
        member.slot.clone(),
        member.role.clone(),
        member.server_id.to_string(),
        member.epoch.to_string(),
        member.address.clone(),
        member.lag_records.to_string(),
        links.join(" "),
        member.reason.clone(),
    ]
}

fn link(link: &LinkSummary) -> String {
    format!("{}<-{}:{}", link.kind, link.source, link.state)
}

fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|c| c.chars().count())
                .max()
        })
        .map(|width| width.unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use tandem_api::double_master::ServiceStatus;

    use super::*;

    #[test]
    fn the_writer_is_marked_and_columns_are_aligned() {
        let member = |name: &str, role: &str| MemberStatus {
            name: name.into(),
            slot: "a".into(),
            role: role.into(),
            server_id: 1,
            epoch: 2,
            address: "127.0.0.1:7011".into(),
            ..MemberStatus::default()
        };
        let status = DoubleMasterStatus {
            members: vec![
                member("dm-a-0", "double_master"),
                member("dm-a-1", "replica"),
            ],
            services: vec![
                ServiceStatus {
                    name: "dm-rw".into(),
                    address: "127.0.0.1:7000".into(),
                    targets: vec!["dm-a-0".into()],
                },
                ServiceStatus {
                    name: "dm-b".into(),
                    ..ServiceStatus::default()
                },
            ],
            waits_for: vec!["dm-b-0 (just started)".into()],
            ..DoubleMasterStatus::default()
        };
        let wanted = "\
MEMBER   SLOT  ROLE           ID  EPOCH  ADDRESS         LAG  LINKS  REASON
dm-a-0*  a     double_master  1   2      127.0.0.1:7011  0
dm-a-1   a     replica        1   2      127.0.0.1:7011  0

dm-rw        127.0.0.1:7000   -> dm-a-0
dm-b                          -> nobody

waits for dm-b-0 (just started)
";
        assert_eq!(render(&status), wanted);
    }
}
