#pragma once

// Reading capture files. libpcap's own functions import into Swift as they are; nothing needs wrapping.

#if !__has_include(<pcap/pcap.h>)
#error "libpcap's header is missing: run make deps"
#else
#include <pcap/pcap.h>
#endif
