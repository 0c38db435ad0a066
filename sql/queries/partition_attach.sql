-- Make it one. Unlike CREATE TABLE … PARTITION OF this lets others go on writing meanwhile.
ALTER TABLE events ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({end})
