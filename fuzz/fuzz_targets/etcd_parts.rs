#![no_main]
shardwright_fuzz::target!("etcd_parts");
