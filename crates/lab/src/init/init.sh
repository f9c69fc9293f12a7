#!/bin/busybox sh
# The first program of lab machines whose processor our agent is not built for here. It does for the lab what the agent does, in
# the distribution's busybox, and speaks under a name of its own: no line of it is the agent's.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs devtmpfs /dev
$b --install -s /bin
export PATH=/bin

# The kernel's notices on the same line would tear ours apart; its errors still show.
echo 4 > /proc/sys/kernel/printk
say() { printf '\nlab-init: %s\n' "$*"; }

while read -r module; do
    insmod "$module" || say "cannot load $module"
done < /etc/lab/modules

# The card that the machine booted from: the lab's machines have one.
card=none
for tries in 1 2 3 4 5 6 7 8 9 10; do
    for path in /sys/class/net/*; do
        [ "${path##*/}" = lo ] || card=${path##*/}
    done
    [ "$card" = none ] || break
    sleep 1
done
mac=none
if [ "$card" != none ]; then
    mac=$(cat "/sys/class/net/$card/address")
    ip link set "$card" up
    udhcpc -i "$card" -n -q -t 20 -T 3 -s /etc/lab/udhcpc || say "no DHCP server gave an address"
fi

ip=none
server=
[ ! -e /run/lease ] || . /run/lease
cmdline=$(cat /proc/cmdline)
kernel=$(uname -r)
say "booted mac=$mac ip=$ip kernel=$kernel cmdline=\"$cmdline\""

firmware=none
[ ! -d /sys/firmware/efi ] || firmware=efi
uuid=$(cat /sys/class/dmi/id/product_uuid 2> /dev/null)
uptime=$(cut -d ' ' -f 1 /proc/uptime)
report="agent=lab-init
mac=$mac
ip=$ip
kernel=$kernel
firmware=$firmware
uptime_ms=${uptime%.*}${uptime#*.}0
cmdline=$cmdline"
[ -z "$uuid" ] || report="$report
uuid=$uuid"
# Slipway is the DHCP server in such scenarios, on its usual port for HTTP.
url="http://$server:8067/agent/report"
if [ -n "$server" ] && wget -q -O - --post-data "$report" "$url"; then
    say "reported to $url"
else
    say "not reported: no answer from $url"
fi

case " $cmdline " in
*" slipway.poweroff "*)
    say "powering off, as the command line asks"
    poweroff -f
    ;;
esac
while :; do sleep 3600; done
