//! The whole story on a real node, chapter by chapter: installed from the chart, two clients behind firewalls exchange
//! messages through a broker that an operator runs, whatever is done to broker, operator and channel meanwhile.

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
fn a_message_goes_through_whatever_happens() -> Result<()> {
    let Some(cluster) = shared::cluster() else { return Ok(()) };
    let release = Release::install(cluster)?;
    release.channel_becomes_ready("orders", "")?;

    let broker = release.service()?;
    let sender = ClientSystem::join("story-sender", &cluster.network_namespace, broker)?;
    let receiver = ClientSystem::join("story-receiver", &cluster.network_namespace, broker)?;
    for client in [&sender, &receiver] {
        client.prove_closed(release.api_server())?;
    }

    exchange::a_thousand_messages_come_byte_for_byte(&release, &sender, &receiver)?;
    exchange::the_receiver_meets_time_outs_and_asks_again(&release, &sender, &receiver)?;
    survival::a_broker_killed_under_load_loses_nothing(&release, &sender, &receiver)?;
    operator::a_restarted_operator_changes_nothing(&release)?;
    operator::what_drifted_is_put_back(&release)?;
    conditions::a_channel_that_cannot_be_is_told_why(&release)?;
    conditions::channels_share_a_destination_only_if_all_say_so(&release)?;
    conditions::dead_letters_that_go_nowhere_are_told_of_and_stop_no_channel(&release)?;
    operator::an_edited_channel_is_obeyed_without_a_restart(&release, &sender)?;
    deletion::a_channel_with_messages_waits_for_them_and_then_goes(&release, &sender, &receiver)?;
    deletion::a_channel_that_drains_takes_nothing_more_and_goes_when_it_is_empty(
        &release, &sender, &receiver,
    )?;
    release.uninstall_leaves_the_definitions_and_the_volume_and_no_namespace_hangs()
}
