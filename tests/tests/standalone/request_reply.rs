//! Requests and replies through a real broker, with `request()` and `reply()` of the crate and of the command.

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use restante_client::{Message, Received, Receiver, ReceiverOptions, WorkOptions};
use restante_tests::process::Process;

use crate::{
    broker::{Broker, DEADLINE, channel},
    cli::succeeds,
    programs::{folder, restante},
};

/// The channels of requests and of replies.
fn channels() -> String {
    let waiting = "delivery: {waitSeconds: 1}";
    channel("sums", waiting) + &channel("answers", waiting)
}

#[tokio::test]
async fn each_request_gets_its_own_reply_and_the_channels_are_empty_afterwards() -> Result<()> {
    let broker = Broker::serving(&channels()).await?;
    let client = broker.client()?;
    let (sums, answers) = ("acme/sums".parse()?, "acme/answers".parse()?);
    let receiver = Receiver::new(&client, "acme/sums".parse()?, ReceiverOptions::default());
    let replies = async |request: &Received| {
        let number: u32 = std::str::from_utf8(&request.body).unwrap().parse().unwrap();
        let reply = Message::new((number * number).to_string());
        request.reply(reply, DEADLINE).await.unwrap();
        Ok(())
    };
    let serving = receiver.run(WorkOptions::default(), replies);
    let asking = async {
        for number in [3, 7, 12] {
            let reply = client.request(&sums, Message::new(number.to_string()), &answers, DEADLINE).await?;
            ensure!(reply.body == (number * number).to_string(), "{number}: {:?}", reply.body);
            reply.settle().await?;
        }
        receiver.cancellation().cancel();
        Ok(())
    };
    let (served, asked) = tokio::join!(serving, asking);
    asked?;
    served?;
    for channel in ["sums", "answers"] {
        broker.until_empty(channel).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_reply_to_another_requester_is_released() -> Result<()> {
    let broker = Broker::serving(&channels()).await?;
    let client = broker.client()?;
    succeeds(&broker, &["push", "acme/answers", "-H", "Correlation-Id: another"], b"another's")?;
    let (sums, answers) = ("acme/sums".parse()?, "acme/answers".parse()?);
    let receiver = Receiver::new(&client, "acme/sums".parse()?, ReceiverOptions::default());
    let serving = async {
        let request = receiver.receive().await?;
        request.reply_and_settle(Message::new("mine"), DEADLINE).await?;
        anyhow::Ok(())
    };
    let asking = client.request(&sums, Message::new("whose?"), &answers, DEADLINE);
    let (served, reply) = tokio::join!(serving, asking);
    served?;
    let reply = reply?;
    ensure!(reply.body == "mine");
    reply.settle().await?;
    let answers = Receiver::new(&client, answers, ReceiverOptions::default());
    let others = tokio::time::timeout(DEADLINE, answers.receive()).await??;
    ensure!(others.body == "another's" && others.deliveries == 1, "{others:?} was counted as delivered");
    Ok(())
}

#[tokio::test]
async fn a_shell_script_replies_to_requests_with_the_command() -> Result<()> {
    let broker = Broker::serving(&channels()).await?;
    let script = format!("tr a-z A-Z | '{}' reply", folder()?.join("restante").display());
    let serve = restante(&broker.url(), &["pull", "acme/sums", "--follow", "--exec", "sh", "-c", &script])?;
    let mut serve = Process::start("restante pull", &serve, &broker.folder().join("serve.log"))?;
    for (question, answer) in [("how many?", "HOW MANY?"), ("and now?", "AND NOW?")] {
        let words = ["request", "acme/sums", "--reply-to", "acme/answers", "--timeout", "30"];
        let reply = succeeds(&broker, &words, question.as_bytes())?;
        ensure!(reply == answer.as_bytes(), "{reply:?}");
    }
    broker.until_empty("sums").await?;
    serve.signal(Signal::SIGTERM)?;
    ensure!(serve.wait(DEADLINE)?.success(), "{}", serve.log_text());
    Ok(())
}
