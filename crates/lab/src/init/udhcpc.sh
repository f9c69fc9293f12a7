#!/bin/busybox sh
# What udhcpc runs when something has happened to its lease.
[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" dev "$interface"
[ -z "$router" ] || ip route add default via "${router%% *}"
printf 'ip=%s\nserver=%s\n' "$ip" "$serverid" > /run/lease
