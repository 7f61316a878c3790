#![no_main]
shardwright_fuzz::target!("nats_mirror");
