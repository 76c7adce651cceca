//! Persistent volumes: folders of the machine, made before anybody claims them.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::context::Context;

/// The default class of the cluster.
pub const CLASS: &str = "local";

/// Who the pods of the chart run as. kubelet applies no fsGroup to a folder of the machine, so it is theirs already.
const POD_USER: u32 = 65532;

/// More brokers than one test binary makes; a folder costs nothing.
const VOLUMES: usize = 160;

/// What each says it holds: more than the chart's default claim.
const CAPACITY: &str = "20Gi";

/// Another class, whose claims may be edited to grow. Nothing here makes the volume larger.
pub const GROWING_CLASS: &str = "local-growing";

/// Volumes of that class.
const GROWING_VOLUMES: usize = 8;

/// Makes the classes and the volumes. A volume is bound to one claim in its life and keeps its files after it, as a disk
/// with the policy Retain does.
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
        .with_context(|| format!("{} cannot be given to user {POD_USER}", path.display()))?;
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
