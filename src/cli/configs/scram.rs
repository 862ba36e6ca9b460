//! What users log in with: `SCRAM-SHA-256=[iterations=8192,password=secret]` among the keys of `--add-config`.

use std::collections::BTreeMap;

use forebay_client::Admin;
use forebay_client::admin::{ScramAlteration, ScramMechanism};

use super::Error;
use super::entities::Entities;

const ITERATIONS_DEFAULT: i32 = 4096;

fn mechanism(key: &str) -> Option<ScramMechanism> {
    ScramMechanism::ALL.into_iter().find(|known| known.name() == key)
}

/// Whether a key names a mechanism.
pub(super) fn is_mechanism(key: &str) -> bool {
    mechanism(key).is_some()
}

/// The credentials of users, or of all who have some.
pub(super) async fn describe(admin: &Admin, names: &[String]) -> Result<(), Error> {
    // Those who have nothing of their own have no password either.
    if names.iter().any(String::is_empty) {
        return Ok(());
    }
    let users: Vec<&str> = names.iter().map(String::as_str).collect();
    let described = match admin.describe_user_scram_credentials(&users).await {
        // A broker that knows nothing of SCRAM has no credentials to show.
        Err(forebay_client::Error::UnsupportedVersion { .. }) => return Ok(()),
        described => described?,
    };
    for (user, outcome) in described {
        match outcome {
            Ok(credentials) => {
                let credentials = credentials.iter().map(|credential| {
                    let name = credential.mechanism.map_or("UNKNOWN", ScramMechanism::name);
                    format!("{name}=iterations={}", credential.iterations)
                });
                say!(
                    "SCRAM credential configs for user-principal '{user}' are {}",
                    credentials.collect::<Vec<_>>().join(", ")
                );
            }
            Err(error) => {
                let error = super::super::java::exception(&error);
                let error = error
                    .strip_prefix("org.apache.kafka.common.errors.")
                    .unwrap_or(&error);
                say!("Error retrieving SCRAM credential configs for user-principal '{user}': {error}");
            }
        }
    }
    Ok(())
}

/// Whether passwords are to change, which cannot be done together with quotas; nor has everybody a password.
pub(super) fn is_asked(
    entities: &Entities,
    added: &BTreeMap<String, String>,
    deleted: &[String],
) -> Result<bool, Error> {
    let keys = || added.keys().chain(deleted);
    if !keys().any(|key| is_mechanism(key)) {
        return Ok(false);
    }
    if entities.names.iter().any(String::is_empty) {
        return Err(Error::failed(
            "The use of --entity-default or --user-defaults is not allowed with User SCRAM Credentials using --bootstrap-server.",
        ));
    }
    if keys().any(|key| !is_mechanism(key)) {
        return Err(Error::failed(
            "Cannot alter both quota and SCRAM credential configs simultaneously for 'users' using --bootstrap-server.",
        ));
    }
    Ok(true)
}

pub(super) async fn alter(
    admin: &Admin,
    names: &[String],
    added: &BTreeMap<String, String>,
    deleted: &[String],
) -> Result<(), Error> {
    let alterations = alterations(added, deleted)?;
    let users = names
        .iter()
        .map(|user| (user.clone(), alterations.clone()))
        .collect();
    for outcome in admin.alter_user_scram_credentials(&users).await?.into_values() {
        outcome?;
    }
    Ok(())
}

pub(super) fn alterations(
    added: &BTreeMap<String, String>,
    deleted: &[String],
) -> Result<Vec<ScramAlteration>, Error> {
    let gone = deleted.iter().filter_map(|key| mechanism(key));
    let mut alterations: Vec<_> = gone.map(ScramAlteration::Delete).collect();
    for (key, value) in added {
        let Some(mechanism) = mechanism(key) else { continue };
        let (iterations, password) = credential(mechanism, value)?;
        alterations.push(ScramAlteration::Set {
            mechanism,
            iterations,
            password,
        });
    }
    Ok(alterations)
}

/// `iterations=8192,password=secret`, where the iterations may be left out.
fn credential(mechanism: ScramMechanism, text: &str) -> Result<(i32, String), Error> {
    // Java prints the name of the constant.
    let constant = mechanism.name().replace('-', "_");
    let invalid = || Error::failed(format!("Invalid credential property {constant}={text}"));
    let (iterations, rest) = match text.strip_prefix("iterations=") {
        Some(rest) => {
            let (number, rest) = rest.split_once(',').ok_or_else(invalid)?;
            let digits = number.strip_prefix('-').unwrap_or(number);
            if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
                return Err(invalid());
            }
            let parsed = number
                .parse()
                .map_err(|_| Error::failed(format!("For input string: \"{number}\"")))?;
            (if parsed == -1 { ITERATIONS_DEFAULT } else { parsed }, rest)
        }
        None => (ITERATIONS_DEFAULT, text),
    };
    let password = rest.strip_prefix("password=").ok_or_else(invalid)?;
    if iterations < ScramMechanism::ITERATIONS_MIN {
        return Err(Error::failed(format!(
            "Iterations {iterations} is less than the minimum {} required for {}",
            ScramMechanism::ITERATIONS_MIN,
            mechanism.name()
        )));
    }
    Ok((iterations, password.to_owned()))
}
