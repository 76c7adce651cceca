//! Persistent volumes: folders of the machine, made before they are claimed.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::context::Context;

/// The default class of the cluster.
pub const CLASS: &str = "local";

/// User id of the chart's pods. The kubelet does not apply fsGroup to a folder of the machine, so the folders already
/// belong to this user.
const POD_USER: u32 = 65532;

/// More than the brokers of one test binary; a folder costs nothing.
const VOLUMES: usize = 160;

/// Declared capacity of each volume: more than the chart's default claim.
const CAPACITY: &str = "20Gi";

/// A second class, whose claims may be edited to grow. No component makes its volumes larger.
pub const GROWING_CLASS: &str = "local-growing";

/// Number of volumes of the growing class.
const GROWING_VOLUMES: usize = 8;

/// Makes the classes and the volumes. A volume is bound to only one claim in its life, and keeps its files afterwards,
/// like a disk with the policy Retain.
pub fn create(context: &Context) -> Result<()> {
    let mut items = vec![class(CLASS, true), class(GROWING_CLASS, false)];
    for number in 0..VOLUMES {
        items.push(volume(context, CLASS, &format!("volume-{number}"))?);
    }
    for number in 0..GROWING_VOLUMES {
        items.push(volume(context, GROWING_CLASS, &format!("growing-volume-{number}"))?);
    }
    context.kubectl.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()).map(drop)
}

fn class(name: &str, default: bool) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": name,
            "annotations": {"storageclass.kubernetes.io/is-default-class": default.to_string()},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "reclaimPolicy": "Retain",
        "volumeBindingMode": "Immediate",
        "allowVolumeExpansion": !default,
    })
}

fn volume(context: &Context, class: &str, name: &str) -> Result<Value> {
    let path = context.folder.sub(&format!("volumes/{name}"))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
    chown(&path, Some(POD_USER), Some(POD_USER))
        .with_context(|| format!("cannot give {} to user {POD_USER}", path.display()))?;
    Ok(json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "storageClassName": class,
            "capacity": {"storage": CAPACITY},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": path},
        },
    }))
}
