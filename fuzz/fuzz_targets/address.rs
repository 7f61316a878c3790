#![no_main]
shardwright_fuzz::target!("address");
