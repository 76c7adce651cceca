//! Effects of values. The chart accepts and refuses values like the Kubernetes API, before anything is installed.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::rendering::{Rendering, default_broker, object};

fn operator_pod(objects: &[Value]) -> Result<Value> {
    Ok(object(objects, "Deployment", "restante-operator")?["spec"]["template"].clone())
}

fn hook_pod(objects: &[Value]) -> Result<Value> {
    Ok(object(objects, "Job", "release-finalizers-restante")?["spec"]["template"].clone())
}

fn arguments(pod: &Value) -> Vec<&str> {
    pod["spec"]["containers"][0]["args"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn the_chart_passes_helm_lint() -> Result<()> {
    let Some(helm) = Rendering::new()? else { return Ok(()) };
    helm.accepts("{}")
}

#[test]
fn an_unknown_value_is_refused() -> Result<()> {
    let Some(helm) = Rendering::new()? else { return Ok(()) };
    helm.refuses("broker: {create: true}", "additional properties 'create' not allowed")?;
    helm.refuses(
        "operator: {tolerations: [{effekt: NoSchedule}]}",
        "additional properties 'effekt' not allowed",
    )
}

#[test]
fn a_variable_with_two_values_is_refused() -> Result<()> {
    let Some(helm) = Rendering::new()? else { return Ok(()) };
    let both = "operator: {env: [{name: PROXY, value: a, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]}";
    helm.refuses(both, "/operator/env/0/value")
}

#[test]
fn quantities_are_accepted_in_every_form_that_the_api_accepts() -> Result<()> {
    let Some(helm) = Rendering::new()? else { return Ok(()) };
    let values = "
operator: {resources: {requests: {cpu: 0.5}, limits: {cpu: 2, memory: 536870912}}}
broker:
  storage: {size: 21474836480}
  resources: {requests: {cpu: 0.25, memory: 1.5Gi}, limits: {cpu: 1e3m, memory: 1073741824}}
";
    // 1e3m is not a quantity.
    helm.refuses(values, "1e3m")?;
    let objects = helm.objects(&values.replace("1e3m", "1e3"))?;
    let given = operator_pod(&objects)?["spec"]["containers"][0]["resources"].clone();
    let expected =
        json!({"requests": {"cpu": "0.5", "memory": "64Mi"}, "limits": {"cpu": "2", "memory": "536870912"}});
    ensure!(given == expected, "{given}");
    let spec = default_broker(&objects)?["spec"].clone();
    ensure!(spec["engine"]["embedded"]["storage"]["size"] == "21474836480", "{spec}");
    let given = &spec["template"]["resources"];
    ensure!(given["requests"] == json!({"cpu": "0.25", "memory": "1.5Gi"}), "{given}");
    ensure!(given["limits"]["memory"] == "1073741824", "{given}");
    for wrong in ["lots", "-1", "'1 Gi'", "true", "[]"] {
        helm.refuses(&format!("operator: {{resources: {{limits: {{memory: {wrong}}}}}}}"), "memory")?;
        helm.refuses(&format!("broker: {{storage: {{size: {wrong}}}}}"), "size")?;
    }
    // A volume has whole bytes, and a broker needs a minimum.
    helm.refuses("broker: {storage: {size: 0.5}}", "size")?;
    helm.refuses("broker: {storage: {size: 1000}}", "size")
}

#[test]
fn null_unsets_a_default() -> Result<()> {
    let Some(helm) = Rendering::new()? else { return Ok(()) };
    let objects = helm.objects(
        "
imagePullSecrets: null
commonLabels: null
image: {broker: {tag: null, digest: null}}
operator:
  resources: {requests: null, limits: {memory: null, cpu: null}}
  logLevel: null
  logFormat: null
  terminationGracePeriodSeconds: null
  podAnnotations: null
  tolerations: null
serviceAccount: {name: null, annotations: null}
broker:
  externalURL: null
  keepAliveSeconds: null
  cores: null
  storage: {size: null, storageClassName: null}
  resources: null
  nodeSelector: null
  securityContext: null
uninstallHook: {enabled: null}
dashboard: {namespace: null, labels: null}
",
    )?;
    let pod = operator_pod(&objects)?;
    let container = &pod["spec"]["containers"][0];
    ensure!(container["resources"].as_object().is_none_or(|given| given.is_empty()), "{container}");
    ensure!(!arguments(&pod).iter().any(|argument| argument.starts_with("--log")), "{container}");
    ensure!(pod["spec"].get("terminationGracePeriodSeconds").is_none(), "{pod}");
    let spec = default_broker(&objects)?["spec"].clone();
    ensure!(spec == json!({"replicas": 1, "engine": {"embedded": {"storage": {}}}}), "{spec}");
    helm.refuses("image: {broker: {repository: null}}", "repository")?;
    helm.refuses("image: {broker: {repository: 'team/broker:1'}}", "repository")?;
    helm.refuses("operator: null", "operator")
}

#[test]
fn the_log_level_accepts_every_filter_of_the_operator() -> Result<()> {
    let Some(helm) = Rendering::new()? else { return Ok(()) };
    let accepted = [
        "info",
        "DEBUG",
        "'off'",
        "3",
        "info,kube=debug",
        "restante_operator::fleet=trace",
        "a[b{c=d}]=warn",
    ];
    for level in accepted {
        let values = format!("operator: {{logLevel: '{}'}}", level.trim_matches('\''));
        let pod = operator_pod(&helm.objects(&values)?)?;
        let expected = format!("--log={}", level.trim_matches('\''));
        ensure!(arguments(&pod).contains(&expected.as_str()), "{level}: {pod}");
        operator_accepts(level.trim_matches('\''), true)?;
    }
    // YAML 1.1 parses off as false.
    let pod = operator_pod(&helm.objects("operator: {logLevel: off}")?)?;
    ensure!(arguments(&pod).contains(&"--log=off"), "{pod}");
    for level in ["info,kube=loud", "=info", "kube=", "[", "a[b", "info,]"] {
        let is_accepted = level == "kube=";
        operator_accepts(level, is_accepted)?;
        let values = format!("operator: {{logLevel: '{level}'}}");
        if is_accepted { helm.accepts(&values)? } else { helm.refuses(&values, "logLevel")? }
    }
    Ok(())
}

/// Checks that the operator itself accepts or refuses these directives, like the chart.
fn operator_accepts(directives: &str, takes: bool) -> Result<()> {
    let program = restante_tests::programs::build()?.join("restante-operator");
    let mut operator = std::process::Command::new(program);
    // After accepting them, the operator finds no cluster and exits.
    operator.args(["run", "--log", directives]).env("KUBECONFIG", "/dev/null").env_remove("RUST_LOG");
    let output = operator.output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(said.contains("is neither a level nor a list of directives") != takes, "{directives:?}: {said}");
    Ok(())
}

#[test]
fn the_hook_is_rendered_by_helm_template_only_on_request() -> Result<()> {
    let Some(helm) = Rendering::new()? else { return Ok(()) };
    for (enabled, rendered) in
        [("auto", false), ("true", true), ("'true'", true), ("false", false), ("'false'", false)]
    {
        let objects = helm.objects(&format!("uninstallHook: {{enabled: {enabled}}}"))?;
        ensure!(hook_pod(&objects).is_ok() == rendered, "with enabled: {enabled}");
    }
    helm.refuses("uninstallHook: {enabled: sometimes}", "enabled")
}

#[test]
fn the_hook_runs_after_the_uninstall_unless_the_definitions_are_deleted_too() -> Result<()> {
    let Some(helm) = Rendering::new()? else { return Ok(()) };
    for (keep, event) in [(true, "post-delete"), (false, "pre-delete")] {
        let objects =
            helm.objects(&format!("{{uninstallHook: {{enabled: true}}, crds: {{keep: {keep}}}}}"))?;
        let hooks: Vec<&Value> = objects
            .iter()
            .map(|object| &object["metadata"]["annotations"]["helm.sh/hook"])
            .filter(|hook| !hook.is_null())
            .collect();
        ensure!(hooks.len() == 6 && hooks.iter().all(|hook| **hook == event), "{hooks:?}");
    }
    Ok(())
}

#[test]
fn a_digest_overrides_a_tag() -> Result<()> {
    let Some(helm) = Rendering::new()? else { return Ok(()) };
    let digest = format!("sha256:{}", "0a".repeat(32));
    let image =
        |name: &str, rest: &str| format!("{name}: {{repository: registry.example.com:5000/{name}{rest}}}");
    let (broker, operator) =
        (image("broker", &format!(", tag: v1, digest: '{digest}'")), image("operator", ", tag: v1"));
    let pod = operator_pod(&helm.objects(&format!("image: {{{broker}, {operator}}}"))?)?;
    ensure!(pod["spec"]["containers"][0]["image"] == "registry.example.com:5000/operator:v1", "{pod}");
    let expected = format!("--broker-image=registry.example.com:5000/broker@{digest}");
    ensure!(arguments(&pod).contains(&expected.as_str()), "{pod}");
    helm.refuses("image: {broker: {digest: latest}}", "digest")
}

#[test]
fn the_operator_the_hook_and_every_broker_have_the_pull_secrets() -> Result<()> {
    let Some(helm) = Rendering::new()? else { return Ok(()) };
    let objects =
        helm.objects("{uninstallHook: {enabled: true}, imagePullSecrets: [{name: one}, {name: other}]}")?;
    for pod in [operator_pod(&objects)?, hook_pod(&objects)?] {
        ensure!(pod["spec"]["imagePullSecrets"] == json!([{"name": "one"}, {"name": "other"}]), "{pod}");
    }
    let pod = operator_pod(&objects)?;
    ensure!(arguments(&pod).contains(&"--broker-image-pull-secrets=one,other"), "{pod}");
    Ok(())
}

/// Values for pods that both `operator` and `broker` have.
const POD: &str = "
  podAnnotations: {example.com/a: 'true', prometheus.io/scrape: 'false'}
  podLabels: {example.com/b: c}
  nodeSelector: {disk: ssd}
  tolerations: [{key: dedicated, operator: Exists, effect: NoExecute, tolerationSeconds: 60}]
  affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: []}}
  topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]
  priorityClassName: system-cluster-critical
";

#[test]
fn the_pods_have_the_values_for_pods() -> Result<()> {
    let Some(helm) = Rendering::new()? else { return Ok(()) };
    let serving = "  serviceAccountAnnotations: {example.com/d: e}\n  securityContext: {runAsUser: 1000, fsGroup: 2000}\n";
    let values = format!(
        "uninstallHook: {{enabled: true}}\noperator:{POD}  annotations: {{example.com/f: g}}\nbroker:{POD}{serving}"
    );
    let objects = helm.objects(&values)?;
    let template = default_broker(&objects)?["spec"]["template"].clone();
    for pod in [&operator_pod(&objects)?["spec"], &hook_pod(&objects)?["spec"], &template] {
        for (field, expected) in [
            ("nodeSelector", json!({"disk": "ssd"})),
            ("priorityClassName", json!("system-cluster-critical")),
            ("affinity", json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}})),
        ] {
            ensure!(pod[field] == expected, "{field} is {}", pod[field]);
        }
        ensure!(pod["tolerations"][0]["key"] == "dedicated", "{}", pod["tolerations"]);
    }
    for pod in [&operator_pod(&objects)?["spec"], &template] {
        ensure!(pod["topologySpreadConstraints"][0]["topologyKey"] == "zone", "{pod}");
    }
    let metadata = operator_pod(&objects)?["metadata"].clone();
    ensure!(metadata["annotations"]["example.com/a"] == "true", "{metadata}");
    ensure!(metadata["annotations"]["prometheus.io/scrape"] == "false", "{metadata}");
    ensure!(metadata["labels"]["example.com/b"] == "c", "{metadata}");
    ensure!(template["annotations"]["example.com/a"] == "true", "{template}");
    ensure!(template["labels"]["example.com/b"] == "c", "{template}");
    ensure!(template["serviceAccountAnnotations"] == json!({"example.com/d": "e"}), "{template}");
    ensure!(template["securityContext"] == json!({"runAsUser": 1000, "fsGroup": 2000}), "{template}");
    let deployment = object(&objects, "Deployment", "restante-operator")?;
    ensure!(deployment["metadata"]["annotations"]["example.com/f"] == "g", "{deployment}");
    Ok(())
}

#[test]
fn common_labels_are_on_every_object_and_replace_no_label_of_the_chart() -> Result<()> {
    let Some(helm) = Rendering::new()? else { return Ok(()) };
    let values = "
uninstallHook: {enabled: true}
commonLabels: {team: mail, app.kubernetes.io/instance: other}
operator: {podLabels: {app.kubernetes.io/component: mine}}
";
    let objects = helm.objects(values)?;
    ensure!(operator_pod(&objects)?["metadata"]["labels"]["app.kubernetes.io/component"] == "operator");
    let made = objects.iter().filter(|object| object["kind"] != "CustomResourceDefinition");
    for object in made {
        let labels = &object["metadata"]["labels"];
        ensure!(labels["team"] == "mail" && labels["app.kubernetes.io/instance"] == "restante", "{object}");
    }
    Ok(())
}

#[test]
fn values_that_the_message_broker_definition_refuses_are_refused_before_the_install() -> Result<()> {
    let Some(helm) = Rendering::new()? else { return Ok(()) };
    let own = "is reserved for the operator: choose a name with another prefix";
    helm.refuses("broker: {podLabels: {app.kubernetes.io/name: mine}}", own)?;
    helm.refuses("broker: {podAnnotations: {restante.dev/credential: mine}}", own)?;
    helm.refuses("broker: {name: a-control}", "choose another name")?;
    helm.refuses("broker: {externalURL: mq.example.com}", "write it like https://mq.example.com")?;
    helm.refuses("broker: {securityContext: {runAsUser: 0}}", "runAsUser")
}

#[test]
fn no_pod_names_a_user_if_the_cluster_assigns_one() -> Result<()> {
    let Some(helm) = Rendering::new()? else { return Ok(()) };
    for (users, user) in [("image", json!(65532)), ("cluster", Value::Null)] {
        let objects =
            helm.objects(&format!("{{uninstallHook: {{enabled: true}}, podSecurity: {{users: {users}}}}}"))?;
        for pod in [operator_pod(&objects)?, hook_pod(&objects)?] {
            let security = &pod["spec"]["securityContext"];
            ensure!(security["runAsUser"] == user && security["runAsGroup"] == user, "{security}");
            ensure!(security["runAsNonRoot"] == true, "{security}");
        }
        let pod = operator_pod(&objects)?;
        ensure!(arguments(&pod).contains(&format!("--broker-users={users}").as_str()), "{pod}");
    }
    Ok(())
}

#[test]
fn a_release_without_a_broker_cannot_create_one() -> Result<()> {
    let Some(helm) = Rendering::new()? else { return Ok(()) };
    let objects = helm.objects("broker: {enabled: false}")?;
    ensure!(default_broker(&objects).is_err());
    let rules = object(&objects, "Role", "restante-operator")?["rules"].clone();
    let rules = rules.as_array().context("a Role has rules")?;
    ensure!(!rules.iter().any(|rule| rule["resources"] == json!(["messagebrokers"])), "{rules:?}");
    Ok(())
}
