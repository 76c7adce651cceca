//! The whole story on a real node, in chapters. The chart is installed, and two clients behind firewalls exchange
//! messages through a broker that an operator runs. Meanwhile, broker, operator and channels are killed, restarted and
//! edited.

mod client;
mod conditions;
mod deletion;
mod exchange;
mod operator;
mod release;
mod survival;

use anyhow::Result;
use restante_tests::client_system::ClientSystem;

use self::release::Release;
use crate::shared;

#[test]
fn a_message_arrives_despite_restarts_failures_and_upgrades() -> Result<()> {
    let Some(cluster) = shared::cluster() else { return Ok(()) };
    let release = Release::install(cluster)?;
    release.channel_becomes_ready("orders", "")?;

    let broker = release.service()?;
    let sender = ClientSystem::join("story-sender", &cluster.network_namespace, broker)?;
    let receiver = ClientSystem::join("story-receiver", &cluster.network_namespace, broker)?;
    for client in [&sender, &receiver] {
        client.prove_closed(release.api_server())?;
    }

    exchange::a_thousand_messages_arrive_unchanged(&release, &sender, &receiver)?;
    exchange::the_receiver_repeats_its_request_after_time_outs(&release, &sender, &receiver)?;
    survival::a_broker_killed_under_load_loses_nothing(&release, &sender, &receiver)?;
    operator::a_restarted_operator_changes_nothing(&release)?;
    operator::changes_to_child_objects_are_reverted(&release)?;
    conditions::a_refused_channel_reports_why(&release)?;
    conditions::channels_share_a_destination_only_if_all_of_them_allow_it(&release)?;
    conditions::a_missing_dead_letter_channel_is_reported_and_stops_no_channel(&release)?;
    operator::an_edited_channel_is_applied_without_a_restart(&release, &sender)?;
    deletion::a_deleted_channel_with_messages_stays_until_they_are_settled(&release, &sender, &receiver)?;
    deletion::a_draining_channel_refuses_pushes_and_is_removed_when_it_is_empty(
        &release, &sender, &receiver,
    )?;
    release.uninstall_leaves_the_definitions_and_the_volume_and_no_namespace_hangs()
}
