-- SPDX-License-Identifier: MIT
-- A table of 48 MiB with an index, changed and thinned out, in a file of the current folder; what is
-- left is checked and dumped beside it.
pragma page_size = 4096;
pragma cache_size = -65536;
create table t(id integer primary key, k integer, v text);
create index tk on t(k);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
insert into t select i, (i * 7919) % 10007, printf('%02400d', i * 7919 % 1000003) from n;
select count(*), sum(k), max(substr(v, 2000)) from t;
update t set v = substr(v, 1, 2300) || k where id % 3 = 0;
delete from t where id % 50 > 30;
select count(*), sum(k), sum(length(v)), max(substr(v, 2000)) from t;
select k, id, substr(v, 2390) from t order by k, id limit 7;
pragma integrity_check;
.output dump.sql
.dump
.output stdout
