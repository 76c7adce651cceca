//! A cluster that refuses pods with a user of their own and assigns each pod a user, like OpenShift.

use std::{fs, os::unix::fs::PermissionsExt};

use anyhow::{Result, ensure};

use super::{
    messages::Channel,
    release::{BESIDE_OTHERS, Release, SOON, create_namespace},
};
use crate::shared;

/// Like OpenShift's default constraints for pods in these namespaces: a pod must not name a user, and gets a user of
/// the namespace's range and the group of its volumes.
const CONSTRAINTS: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: users-are-given}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {users: given}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  matchConditions:
    - name: names-none
      expression: "!has(object.spec.securityContext) || !has(object.spec.securityContext.runAsUser)"
  reinvocationPolicy: Never
  failurePolicy: Fail
  mutations:
    - patchType: ApplyConfiguration
      applyConfiguration:
        expression: >
          Object{spec: Object.spec{securityContext: Object.spec.securityContext{
            runAsUser: 1000660000, fsGroup: 1000660000}}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: users-are-given}
spec: {policyName: users-are-given}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: users-are-given}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {users: given}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  failurePolicy: Fail
  validations:
    - expression: >
        object.spec.securityContext.?runAsUser.orValue(0) == 1000660000 &&
        object.spec.securityContext.?fsGroup.orValue(0) == 1000660000 &&
        !has(object.spec.securityContext.runAsGroup)
      message: a pod may name no user of its own
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: users-are-given}
spec: {policyName: users-are-given, validationActions: [Deny]}
"#;

#[test]
fn operator_broker_and_uninstall_job_run_as_users_that_the_cluster_assigns() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let release = Release::new(cluster, "users");
    let kubectl = release.kubectl();
    // The volumes here are folders, to which the kubelet applies no fsGroup. So make them writable for any user.
    for volume in fs::read_dir(cluster.folder.join("volumes"))? {
        let path = volume?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("growing-")) {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777))?;
        }
    }
    kubectl.apply(CONSTRAINTS)?;
    kubectl.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: users, labels: {users: given}}\n")?;
    let refused = ["-n", "users", "run", "probe", "--image=x", "--dry-run=server", "--overrides"];
    let named = r#"{"spec": {"securityContext": {"runAsUser": 65532}}}"#;
    restante_tests::wait::until("the constraints to be in force", SOON, || {
        let admitted = kubectl.run(&[&refused[..], &[named]].concat());
        ensure!(admitted.is_err_and(|error| format!("{error:#}").contains("may name no user")));
        Ok::<_, anyhow::Error>(())
    })?;
    let values = format!(
        "{BESIDE_OTHERS}podSecurity: {{users: cluster}}\n\
         broker: {{storage: {{size: 1Gi, storageClassName: local-growing}}}}\n"
    );
    release.install(&values)?;
    release.broker_becomes_ready("default")?;
    create_namespace(&kubectl, "users-channels")?;
    let broker_ref = "{namespace: users, name: default}";
    let channel = Channel::full(&release, "default", ("users-channels", "orders"), broker_ref)?;
    channel.delivers_all_messages()?;
    release.uninstall()?;
    let channel = kubectl.json(&["-n", "users-channels", "get", "mc", "orders"])?;
    ensure!(channel["metadata"].get("finalizers").is_none(), "the uninstall job did not run: {channel}");
    kubectl.run(&["delete", "namespace", "users", "users-channels", "--timeout=60s"]).map(drop)
}
