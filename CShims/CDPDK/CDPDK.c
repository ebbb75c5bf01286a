#if !__has_include(<rte_config.h>)
#error "DPDK's headers are missing: run `make deps`"
#else
#include <time.h>

#include <rte_config.h>

#include <errno.h>
#include <rte_bus_vdev.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_ip_frag.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_pcapng.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "CDPDK.h"

#define SAME(ours, theirs) \
  _Static_assert(offsetof(dpdk_mbuf, ours) == offsetof(struct rte_mbuf, theirs), "the mirror of rte_mbuf is out of date: " #theirs)
SAME(buf_addr, buf_addr);
SAME(buf_iova, buf_iova);
SAME(data_off, data_off);
SAME(refcnt, refcnt);
SAME(nb_segs, nb_segs);
SAME(port, port);
SAME(ol_flags, ol_flags);
SAME(packet_type, packet_type);
SAME(pkt_len, pkt_len);
SAME(data_len, data_len);
SAME(vlan_tci, vlan_tci);
SAME(hash, hash);
SAME(vlan_tci_outer, vlan_tci_outer);
SAME(buf_len, buf_len);
SAME(pool, pool);
SAME(next, next);
SAME(tx_offload, tx_offload);
SAME(shinfo, shinfo);
SAME(priv_size, priv_size);
SAME(timesync, timesync);
SAME(dynfield, dynfield1);
_Static_assert(sizeof(dpdk_mbuf) == sizeof(struct rte_mbuf), "the mirror of rte_mbuf has another size");
_Static_assert(sizeof(dpdk_mbuf_private) % RTE_MBUF_PRIV_ALIGN == 0, "rte_mbuf wants its private area 8-aligned");

static struct rte_mbuf *real(const dpdk_mbuf *m) { return (struct rte_mbuf *)(uintptr_t)m; }
static struct rte_mbuf **reals(dpdk_mbuf **m) { return (struct rte_mbuf **)m; }

// EAL

int dpdk_eal_init(int argc, char **argv) { return rte_eal_init(argc, argv); }
void dpdk_eal_cleanup(void) { rte_eal_cleanup(); }
const char *dpdk_last_error(void) { return rte_strerror(rte_errno); }
uint64_t dpdk_get_tsc_hz(void) { return rte_get_tsc_hz(); }
int dpdk_eal_remote_launch(int (*function)(void *), void *argument, unsigned lcore) {
  return rte_eal_remote_launch(function, argument, lcore);
}
int dpdk_eal_wait_lcore(unsigned lcore) { return rte_eal_wait_lcore(lcore); }
int dpdk_socket_id(void) { return (int)rte_socket_id(); }
void dpdk_thread_setname(unsigned long thread, const char *name) { rte_thread_setname(thread, name); }
void dpdk_pause_us(unsigned microseconds) { usleep(microseconds); }

// Memory pools

void *dpdk_pktmbuf_pool_create(const char *name, unsigned count, unsigned cache, uint16_t data_room) {
  return rte_pktmbuf_pool_create(name, count, cache, sizeof(dpdk_mbuf_private), data_room, SOCKET_ID_ANY);
}
void dpdk_mempool_free(void *pool) { rte_mempool_free(pool); }
unsigned dpdk_mempool_avail_count(const void *pool) { return rte_mempool_avail_count(pool); }
dpdk_mbuf *dpdk_pktmbuf_alloc(void *pool) { return (dpdk_mbuf *)rte_pktmbuf_alloc(pool); }
void dpdk_pktmbuf_free(dpdk_mbuf *m) { rte_pktmbuf_free(real(m)); }
void dpdk_pktmbuf_free_bulk(dpdk_mbuf **mbufs, unsigned count) { rte_pktmbuf_free_bulk(reals(mbufs), count); }
dpdk_mbuf *dpdk_pktmbuf_copy(const dpdk_mbuf *m, void *pool) {
  if (m->pkt_len + RTE_PKTMBUF_HEADROOM > rte_pktmbuf_data_room_size(pool)) return NULL;
  return (dpdk_mbuf *)rte_pktmbuf_copy(real(m), pool, 0, UINT32_MAX);
}

// Ports

int dpdk_vdev_init(const char *name, const char *arguments) {
  int error = rte_vdev_init(name, arguments);
  if (error < 0) {
    rte_errno = -error;
    return error;
  }
  return dpdk_eth_dev_get_port_by_name(name);
}
int dpdk_vdev_uninit(const char *name) { return rte_vdev_uninit(name); }
int dpdk_eth_dev_get_port_by_name(const char *name) {
  uint16_t port;
  int error = rte_eth_dev_get_port_by_name(name, &port);
  if (error < 0) {
    rte_errno = -error;
    return error;
  }
  return port;
}

int dpdk_eth_dev_configure(uint16_t port, uint16_t queues, uint16_t descriptors, uint16_t mtu, void *pool) {
  struct rte_eth_dev_info info;
  int error = rte_eth_dev_info_get(port, &info);
  if (error) return error;
  struct rte_eth_conf conf = {0};
  conf.rxmode.mtu = mtu;
  uint64_t rss = info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP);
  if (queues > 1 && rss) {
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf = rss;
  }
  if ((error = rte_eth_dev_configure(port, queues, queues, &conf))) return error;
  uint16_t rx = descriptors, tx = descriptors;
  if ((error = rte_eth_dev_adjust_nb_rx_tx_desc(port, &rx, &tx)) && error != -ENOTSUP) return error;
  for (uint16_t queue = 0; queue < queues; queue++) {
    if ((error = rte_eth_rx_queue_setup(port, queue, rx, rte_eth_dev_socket_id(port), NULL, pool))) return error;
    if ((error = rte_eth_tx_queue_setup(port, queue, tx, rte_eth_dev_socket_id(port), NULL))) return error;
  }
  return 0;
}
int dpdk_eth_dev_start(uint16_t port, bool promiscuous) {
  int error = rte_eth_dev_start(port);
  if (!error && promiscuous) rte_eth_promiscuous_enable(port);
  if (!error) rte_eth_allmulticast_enable(port);
  return error;
}
int dpdk_eth_dev_stop(uint16_t port) { return rte_eth_dev_stop(port); }
int dpdk_eth_dev_close(uint16_t port) { return rte_eth_dev_close(port); }
int dpdk_eth_dev_info_get(uint16_t port, dpdk_port_info *out) {
  struct rte_eth_dev_info info;
  struct rte_ether_addr mac;
  struct rte_eth_link link;
  memset(out, 0, sizeof *out);
  int error = rte_eth_dev_info_get(port, &info);
  if (error) return error;
  if (rte_eth_macaddr_get(port, &mac) == 0) memcpy(out->mac, mac.addr_bytes, 6);
  rte_eth_dev_get_mtu(port, &out->mtu);
  out->max_mtu = info.max_mtu;
  out->min_mtu = info.min_mtu;
  out->max_rx_queues = info.max_rx_queues;
  out->max_tx_queues = info.max_tx_queues;
  out->rss = info.flow_type_rss_offloads;
  out->socket = rte_eth_dev_socket_id(port);
  if (rte_eth_link_get_nowait(port, &link) == 0) {
    out->link_up = link.link_status == RTE_ETH_LINK_UP;
    out->link_mbps = link.link_speed;
  }
  snprintf(out->driver, sizeof out->driver, "%s", info.driver_name ? info.driver_name : "");
  return 0;
}
int dpdk_eth_stats_get(uint16_t port, dpdk_port_stats *out) {
  struct rte_eth_stats stats;
  int error = rte_eth_stats_get(port, &stats);
  if (error) return error;
  *out = (dpdk_port_stats){stats.ipackets, stats.opackets, stats.ibytes,  stats.obytes,
                           stats.imissed,  stats.ierrors,  stats.oerrors, stats.rx_nombuf};
  return 0;
}
uint16_t dpdk_eth_rx_burst(uint16_t port, uint16_t queue, dpdk_mbuf **mbufs, uint16_t count) {
  return rte_eth_rx_burst(port, queue, reals(mbufs), count);
}
uint16_t dpdk_eth_tx_burst(uint16_t port, uint16_t queue, dpdk_mbuf **mbufs, uint16_t count) {
  return rte_eth_tx_burst(port, queue, reals(mbufs), count);
}
int dpdk_eth_from_rings(const char *name, void *const *rx, void *const *tx, unsigned queues) {
  return rte_eth_from_rings(name, (struct rte_ring *const *)rx, queues, (struct rte_ring *const *)tx, queues, SOCKET_ID_ANY);
}

// Rings

void *dpdk_ring_create(const char *name, unsigned count, bool single_producer, bool single_consumer) {
  unsigned flags = (single_producer ? RING_F_SP_ENQ : 0) | (single_consumer ? RING_F_SC_DEQ : 0);
  return rte_ring_create(name, count, SOCKET_ID_ANY, flags);
}
void dpdk_ring_free(void *ring) { rte_ring_free(ring); }
unsigned dpdk_ring_enqueue_burst(void *ring, dpdk_mbuf **mbufs, unsigned count) {
  return rte_ring_enqueue_burst(ring, (void **)mbufs, count, NULL);
}
unsigned dpdk_ring_dequeue_burst(void *ring, dpdk_mbuf **mbufs, unsigned count) {
  return rte_ring_dequeue_burst(ring, (void **)mbufs, count, NULL);
}
bool dpdk_ring_empty(const void *ring) { return rte_ring_empty(ring); }

// Longest prefix match

void *dpdk_fib_create(const char *name, unsigned routes, unsigned long_prefixes, uint64_t default_next_hop) {
  struct rte_fib_conf conf = {.type = RTE_FIB_DIR24_8,
                              .default_nh = default_next_hop,
                              .max_routes = (int)routes + 1,
                              .dir24_8 = {.nh_sz = RTE_FIB_DIR24_8_2B, .num_tbl8 = long_prefixes + 1}};
  return rte_fib_create(name, SOCKET_ID_ANY, &conf);
}
void dpdk_fib_free(void *fib) { rte_fib_free(fib); }
int dpdk_fib_add(void *fib, uint32_t address, uint8_t length, uint64_t next_hop) {
  return rte_fib_add(fib, address, length, next_hop);
}
void dpdk_fib_lookup_bulk(void *fib, uint32_t *addresses, uint64_t *next_hops, int count) {
  rte_fib_lookup_bulk(fib, addresses, next_hops, count);
}
void *dpdk_fib6_create(const char *name, unsigned routes, uint64_t default_next_hop) {
  // A prefix beyond /24 takes one group of 256 entries for each further octet, so at most 13.
  unsigned groups = routes * 13 + 1;
  struct rte_fib6_conf conf = {.type = RTE_FIB6_TRIE,
                               .default_nh = default_next_hop,
                               .max_routes = (int)routes + 1,
                               .trie = {.nh_sz = RTE_FIB6_TRIE_2B, .num_tbl8 = RTE_MIN(groups, 32767u)}};
  return rte_fib6_create(name, SOCKET_ID_ANY, &conf);
}
void dpdk_fib6_free(void *fib) { rte_fib6_free(fib); }
int dpdk_fib6_add(void *fib, const uint8_t address[16], uint8_t length, uint64_t next_hop) {
  return rte_fib6_add(fib, address, length, next_hop);
}
void dpdk_fib6_lookup_bulk(void *fib, const uint8_t *addresses, uint64_t *next_hops, int count) {
  rte_fib6_lookup_bulk(fib, (uint8_t(*)[16])(uintptr_t)addresses, next_hops, count);
}

// Quiescent-state RCU

void *dpdk_rcu_qsbr_create(unsigned threads) {
  struct rte_rcu_qsbr *qsbr = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN(rte_rcu_qsbr_get_memsize(threads), RTE_CACHE_LINE_SIZE));
  if (qsbr) rte_rcu_qsbr_init(qsbr, threads);
  return qsbr;
}
void dpdk_rcu_qsbr_free(void *qsbr) { free(qsbr); }
int dpdk_rcu_qsbr_thread_register(void *qsbr, unsigned thread) { return rte_rcu_qsbr_thread_register(qsbr, thread); }
void dpdk_rcu_qsbr_thread_online(void *qsbr, unsigned thread) { rte_rcu_qsbr_thread_online(qsbr, thread); }
void dpdk_rcu_qsbr_thread_offline(void *qsbr, unsigned thread) { rte_rcu_qsbr_thread_offline(qsbr, thread); }
void dpdk_rcu_qsbr_quiescent(void *qsbr, unsigned thread) { rte_rcu_qsbr_quiescent(qsbr, thread); }
uint64_t dpdk_rcu_qsbr_start(void *qsbr) { return rte_rcu_qsbr_start(qsbr); }
bool dpdk_rcu_qsbr_check(void *qsbr, uint64_t token) { return rte_rcu_qsbr_check(qsbr, token, false) == 1; }

// Hash

void *dpdk_hash_create(const char *name, unsigned entries) {
  struct rte_hash_parameters parameters = {.name = name,
                                           .entries = entries,
                                           .key_len = 24,
                                           .hash_func = rte_hash_crc,
                                           .socket_id = SOCKET_ID_ANY,
                                           .extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF | RTE_HASH_EXTRA_FLAGS_EXT_TABLE};
  return rte_hash_create(&parameters);
}
void dpdk_hash_free(void *hash) { rte_hash_free(hash); }
int dpdk_hash_add_key_data(void *hash, const uint64_t key[3], uint64_t value) {
  return rte_hash_add_key_data(hash, key, (void *)(uintptr_t)value);
}
int dpdk_hash_del_key(void *hash, const uint64_t key[3]) { return rte_hash_del_key(hash, key); }
void dpdk_hash_free_key_with_position(void *hash, int position) { rte_hash_free_key_with_position(hash, position); }
bool dpdk_hash_lookup_data(const void *hash, const uint64_t key[3], uint64_t *value) {
  void *data;
  if (rte_hash_lookup_data(hash, key, &data) < 0) return false;
  *value = (uintptr_t)data;
  return true;
}

// Fragments

void *dpdk_ip_frag_table_create(unsigned flows, uint64_t timeout_cycles) {
  enum { entries_per_bucket = 8 };
  unsigned buckets = rte_align32pow2(RTE_MAX(flows / entries_per_bucket, 1u));
  return rte_ip_frag_table_create(buckets, entries_per_bucket, buckets * entries_per_bucket, timeout_cycles, SOCKET_ID_ANY);
}
void dpdk_ip_frag_table_destroy(void *table) { rte_ip_frag_table_destroy(table); }
void *dpdk_ip_frag_death_row_create(void) { return calloc(1, sizeof(struct rte_ip_frag_death_row)); }

static void prepare_for_reassembly(struct rte_mbuf *m, uint16_t l3_offset, uint16_t l3_length) {
  m->tx_offload = 0;
  m->l2_len = l3_offset;
  m->l3_len = l3_length;
}
dpdk_mbuf *dpdk_ipv4_frag_reassemble_packet(void *table, void *death_row, dpdk_mbuf *mbuf, uint64_t now, uint16_t l3_offset) {
  struct rte_mbuf *m = real(mbuf);
  struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, l3_offset);
  prepare_for_reassembly(m, l3_offset, (uint16_t)rte_ipv4_hdr_len(ip));
  return (dpdk_mbuf *)rte_ipv4_frag_reassemble_packet(table, death_row, m, now, ip);
}
dpdk_mbuf *dpdk_ipv6_frag_reassemble_packet(
    void *table, void *death_row, dpdk_mbuf *mbuf, uint64_t now, uint16_t l3_offset, uint16_t fragment_header_offset) {
  struct rte_mbuf *m = real(mbuf);
  struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv6_hdr *, l3_offset);
  struct rte_ipv6_fragment_ext *fragment = rte_pktmbuf_mtod_offset(m, struct rte_ipv6_fragment_ext *, fragment_header_offset);
  prepare_for_reassembly(m, l3_offset, (uint16_t)(fragment_header_offset - l3_offset + sizeof *fragment));
  return (dpdk_mbuf *)rte_ipv6_frag_reassemble_packet(table, death_row, m, now, ip, fragment);
}
void dpdk_frag_table_del_expired_entries(void *table, void *death_row, uint64_t now) {
  rte_ip_frag_table_del_expired_entries(table, death_row, now);
}
unsigned dpdk_ip_frag_free_death_row(void *death_row) {
  unsigned count = ((struct rte_ip_frag_death_row *)death_row)->cnt;
  if (count) rte_ip_frag_free_death_row(death_row, 3);
  return count;
}
int dpdk_ipv4_fragment_packet(dpdk_mbuf *m, dpdk_mbuf **out, uint16_t capacity, uint16_t mtu, void *pool) {
  // The library wants the room after the header to be a multiple of 8 octets.
  uint16_t header = (uint16_t)((*dpdk_pktmbuf_mtod(m) & 15) * 4);
  uint16_t size = (uint16_t)(header + ((mtu - header) & ~7));
  return rte_ipv4_fragment_copy_nonseg_packet(real(m), reals(out), capacity, size, pool);
}
int dpdk_ipv6_fragment_packet(dpdk_mbuf *m, dpdk_mbuf **out, uint16_t capacity, uint16_t mtu, void *pool) {
  int count = rte_ipv6_fragment_packet(real(m), reals(out), capacity, mtu, pool, pool);
  // The library gives chains that refer to m's buffer; the lcore loop knows one-segment packets only.
  for (int i = 0; i < count; i++) {
    struct rte_mbuf *flat = rte_pktmbuf_copy(real(out[i]), pool, 0, UINT32_MAX);
    rte_pktmbuf_free(real(out[i]));
    out[i] = (dpdk_mbuf *)flat;
    if (!flat) {
      for (int j = 0; j < i; j++) dpdk_pktmbuf_free(out[j]);
      for (int j = i + 1; j < count; j++) dpdk_pktmbuf_free(out[j]);
      return -ENOMEM;
    }
  }
  return count;
}

// Capture

void *dpdk_pcapng_fdopen(int fd, const char *application, const char *comment) {
  return rte_pcapng_fdopen(fd, NULL, NULL, application, comment);
}
uint32_t dpdk_pcapng_mbuf_size(uint32_t length) { return rte_pcapng_mbuf_size(length); }
dpdk_mbuf *dpdk_pcapng_copy(uint16_t port, uint16_t queue, const dpdk_mbuf *m, void *pool, bool outgoing) {
  struct rte_mbuf *copy = rte_pcapng_copy(port, queue, real(m), pool, UINT32_MAX, rte_get_tsc_cycles(),
                                          outgoing ? RTE_PCAPNG_DIRECTION_OUT : RTE_PCAPNG_DIRECTION_IN);
  // 22.11 takes its time base anew in every call: a time read before lies before the base, and wraps around to the year 2251. So
  // the clock's own nanoseconds are written, in the block's fourth and fifth word (the interface block says 10^-9).
  struct timespec now;
  if (copy && clock_gettime(CLOCK_REALTIME, &now) == 0) {
    uint64_t nanoseconds = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    uint32_t *words = rte_pktmbuf_mtod(copy, uint32_t *);
    words[3] = (uint32_t)(nanoseconds >> 32);
    words[4] = (uint32_t)nanoseconds;
  }
  return (dpdk_mbuf *)copy;
}
long dpdk_pcapng_write_packets(void *file, dpdk_mbuf **mbufs, uint16_t count) {
  return rte_pcapng_write_packets(file, reals(mbufs), count);
}
void dpdk_pcapng_close(void *file) { rte_pcapng_close(file); }
#endif
