//! The broker's volume.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The settings of the PersistentVolumeClaim. The claim grows with the size of the spec. Other changes do not apply to
/// a bound claim; the condition StorageDiffers names them.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("quantity(string(self.size)).compareTo(quantity('64Mi')) >= 0 && quantity(string(self.size)).compareTo(quantity('100Ti')) <= 0")
        .message("storage.size must be 64Mi to 100Ti"),
)]
pub struct Storage {
    /// The claim's size, 64Mi to 100Ti (default: 10Gi). The volume needs room for 256Mi per worker (`cores`), or the
    /// broker does not start.
    #[serde(default = "size")]
    #[schemars(schema_with = "crate::quantity::bytes_schema")]
    pub size: Quantity,
    /// The claim's storage class (default: the cluster's default class).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// The claim's access mode (default: ReadWriteOnce).
    #[serde(default)]
    pub access_mode: AccessMode,
}

impl Default for Storage {
    fn default() -> Self {
        Self { size: size(), storage_class_name: None, access_mode: AccessMode::default() }
    }
}

/// Access mode of the claim.
#[derive(Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessMode {
    /// One node may mount the volume.
    #[default]
    ReadWriteOnce,
    /// One pod may mount the volume.
    ReadWriteOncePod,
}

impl AccessMode {
    /// The value in the Kubernetes API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadWriteOnce => "ReadWriteOnce",
            Self::ReadWriteOncePod => "ReadWriteOncePod",
        }
    }
}

fn size() -> Quantity {
    Quantity("10Gi".into())
}
