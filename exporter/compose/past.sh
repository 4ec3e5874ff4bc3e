#!/bin/sh
# Makes blocks of a history, once: past.sh HISTORY DATA
set -eu
history=$1 data=$2
[ -e "$data/remembered" ] && exit 0
until [ -s "$history" ] && [ -r "$history" ]; do sleep 2; done # it gets its name when it is whole
promtool tsdb create-blocks-from openmetrics --quiet "$history" "$data"
: >"$data/remembered"
