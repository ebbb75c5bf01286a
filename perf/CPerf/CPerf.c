#define _GNU_SOURCE
#include "CPerf.h"

#include <rte_config.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { heading = 64 };

/// Where a packet's due time stands: the last word of the buffer's private area, which the gateway does not use.
static uint64_t *due_time(struct rte_mbuf *m) { return (uint64_t *)((uint8_t *)(m + 1) + 24); }

long perf_switches(void) {
  struct rusage usage;
  return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nivcsw : 0;
}

static void finish_sample(perf_feeder *f) {
  uint64_t now = rte_rdtsc();
  long switches = perf_switches();
  if (f->sample_start && f->sample_count < f->sample_capacity)
    f->samples[f->sample_count++] = (perf_sample){now - f->sample_start - (f->ticks - f->sample_ticks), perf_chain(perf_chain_links),
                                                  f->packets - f->sample_packets, now, switches - f->sample_switches};
  f->burst_in_sample = 0;
  f->sample_switches = switches;
  f->sample_ticks = f->ticks;
  f->sample_packets = f->packets;
  f->sample_start = rte_rdtsc();
}

/// How many packets are due, with the first one's time.
static uint16_t due_packets(perf_feeder *f, uint16_t most) {
  double late = (double)rte_rdtsc() - f->due;
  if (late < 0) return 0;
  double count = late / f->interval + 1;
  return count < most ? (uint16_t)count : most;
}

static uint16_t feed(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t received, uint16_t room, void *user) {
  (void)queue;
  perf_feeder *f = user;
  if (f->bursts_per_sample && ++f->burst_in_sample >= f->bursts_per_sample) finish_sample(f);
  uint16_t count = (uint16_t)RTE_MIN(f->burst, (uint32_t)room);
  if (f->interval > 0) count = due_packets(f, count);
  if (count == 0 || rte_pktmbuf_alloc_bulk(f->pool, mbufs, count)) return received;
  uint64_t start = f->is_timed ? rte_rdtsc() : 0;
  for (uint16_t i = 0; i < count; i++) {
    const perf_frame *frame = &f->frames[f->next];
    if (++f->next == f->count) f->next = 0;
    struct rte_mbuf *m = mbufs[i];
    uint8_t *data = rte_pktmbuf_mtod(m, uint8_t *);
    if (frame->copied == heading)
      memcpy(data, frame->octets, heading);
    else
      memcpy(data, frame->octets, frame->copied);
    m->data_len = (uint16_t)frame->length;
    m->pkt_len = frame->length;
    m->port = port;
    if (f->interval > 0) {
      *due_time(m) = (uint64_t)f->due;
      f->due += f->interval;
    }
  }
  // What a device writes never was in this core's store buffer, where a load that crosses two stores would have to wait for it.
  rte_mb();
  if (f->is_timed) f->ticks += rte_rdtsc() - start;
  f->packets += count;
  return count;
}

perf_feeder *perf_feeder_attach(uint16_t port, uint16_t queue, const char *pool) {
  perf_feeder *f = aligned_alloc(128, RTE_ALIGN(sizeof *f, 128));
  if (!f) return NULL;
  memset(f, 0, sizeof *f);
  f->port = port;
  f->queue = queue;
  f->pool = rte_mempool_lookup(pool);
  if (f->pool) f->callback = rte_eth_add_rx_callback(port, queue, feed, f);
  if (f->callback) return f;
  free(f);
  return NULL;
}
/// An lcore that is inside a callback now has left it then.
static void let_lcores_pass(void) { rte_delay_us_sleep(2000); }

void perf_feeder_detach(perf_feeder *f) {
  f->burst = 0;
  rte_eth_remove_rx_callback(f->port, f->queue, f->callback);
  let_lcores_pass();
  rte_free((void *)(uintptr_t)f->callback);
  free(f);
}

static uint16_t note_latency(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count, void *user) {
  (void)port, (void)queue;
  perf_latencies *l = user;
  uint64_t now = rte_rdtsc();
  for (uint16_t i = 0; i < count && l->count < l->capacity; i++) {
    // The gateway's own packets (Mbuf.isGenerated) were never due.
    if (mbufs[i]->ol_flags & UINT64_C(1) << 38) continue;
    uint64_t due = *due_time(mbufs[i]);
    l->ticks[l->count++] = now > due ? (uint32_t)RTE_MIN(now - due, (uint64_t)UINT32_MAX) : 0;
  }
  return count;
}

perf_latencies *perf_latencies_attach(uint16_t port, uint16_t queue, uint32_t capacity) {
  perf_latencies *l = calloc(1, sizeof *l);
  if (!l) return NULL;
  *l = (perf_latencies){.ticks = malloc(capacity * sizeof *l->ticks), .capacity = capacity, .port = port, .queue = queue};
  if (l->ticks) {
    // Touched now, not while packets are timed.
    memset(l->ticks, 1, capacity * sizeof *l->ticks);
    l->callback = rte_eth_add_tx_callback(port, queue, note_latency, l);
  }
  if (l->callback) return l;
  free(l->ticks);
  free(l);
  return NULL;
}
void perf_latencies_detach(perf_latencies *l) {
  rte_eth_remove_tx_callback(l->port, l->queue, l->callback);
  let_lcores_pass();
  rte_free((void *)(uintptr_t)l->callback);
  free(l->ticks);
  free(l);
}

uint64_t perf_chain(uint32_t links) {
  uint64_t value = rte_rdtsc() | 3;
  uint64_t start = rte_rdtsc();
  // Squaring an odd number: no compiler shortens it, and the result depends on every link.
  for (uint32_t i = 0; i < links; i++) {
    value *= value;
    __asm__ volatile("" : "+r"(value));
  }
  uint64_t ticks = rte_rdtsc() - start;
  return value ? ticks : ticks + 1;
}

uint64_t perf_forward(uint16_t from, uint16_t to, uint32_t burst, uint32_t rounds) {
  struct rte_mbuf *mbufs[64];
  uint64_t moved = 0;
  for (uint32_t round = 0; round < rounds; round++) {
    uint16_t count = rte_eth_rx_burst(from, 0, mbufs, (uint16_t)RTE_MIN(burst, 64u));
    uint16_t sent = rte_eth_tx_burst(to, 0, mbufs, count);
    for (uint16_t i = sent; i < count; i++) rte_pktmbuf_free(mbufs[i]);
    moved += sent;
  }
  return moved;
}

bool perf_buffers(const char *name, uint8_t **data, uint32_t count) {
  struct rte_mempool *pool = rte_mempool_lookup(name);
  struct rte_mbuf *mbufs[64];
  if (!pool || count > 64 || rte_pktmbuf_alloc_bulk(pool, mbufs, count)) return false;
  for (uint32_t i = 0; i < count; i++) data[i] = rte_pktmbuf_mtod(mbufs[i], uint8_t *);
  rte_pktmbuf_free_bulk(mbufs, count);
  return true;
}

bool perf_thread_register(void) { return rte_lcore_id() != LCORE_ID_ANY || rte_thread_register() == 0; }

void perf_thread_pin(unsigned core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  sched_setaffinity(0, sizeof set, &set);
}
void perf_process_prefer(void) { setpriority(PRIO_PROCESS, 0, -10); }

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
bool perf_knows_valgrind(void) { return true; }
void perf_count_begin(void) {
  CALLGRIND_ZERO_STATS;
  CALLGRIND_TOGGLE_COLLECT;
}
void perf_count_end(const char *name) {
  CALLGRIND_TOGGLE_COLLECT;
  CALLGRIND_DUMP_STATS_AT(name);
}
#else
bool perf_knows_valgrind(void) { return false; }
void perf_count_begin(void) {}
void perf_count_end(const char *name) { (void)name; }
#endif
