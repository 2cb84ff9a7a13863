//! The command line of an instance, and the file for what must not stand on one.

use tandem_plan::Address;
use tandem_plan::double_master::Validated;
use tandem_plan::outcome::DesiredInstance;

use super::layout::Layout;
use super::secret::write_private;
use crate::error::Error;

/// Arguments of an instance. It boots without a role; the operator tells it one.
pub(super) fn arguments(
    valid: &Validated,
    layout: &Layout,
    instance: &DesiredInstance,
    address: &Address,
) -> Vec<String> {
    let mut arguments = vec!["server".to_string()];
    if valid.secret_name.is_some() {
        let path = layout.instance_config(&instance.name);
        arguments.extend(["--config".into(), path.display().to_string()]);
    }
    let fixed = [
        ("port", address.port.to_string()),
        ("bind", address.host.clone()),
        ("dir", layout.data(&instance.name).display().to_string()),
        ("server-id", instance.server_id.to_string()),
        ("boot-role", "waiting".to_string()),
    ];
    for (key, value) in fixed {
        arguments.extend([format!("--{key}"), value]);
    }
    if valid.durable_acks > 0 {
        arguments.extend([
            "--min-replicas-to-write".into(),
            valid.durable_acks.to_string(),
        ]);
    }
    for (key, value) in &valid.config {
        arguments.extend([format!("--{key}"), value.clone()]);
    }
    arguments
}

/// Writes the configuration file of an instance, when there is a password.
pub(super) fn write_config(
    layout: &Layout,
    instance: &DesiredInstance,
    password: Option<&str>,
) -> Result<(), Error> {
    let Some(password) = password else {
        return Ok(());
    };
    let text = format!("requirepass {password}\nmasterauth {password}\n");
    write_private(&layout.instance_config(&instance.name), text.as_bytes())
}
