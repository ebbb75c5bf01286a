// Seals one small packet on each of many connections and puts them onto a wire: what a pool's clients would send, by OpenSSL
// and the wire format alone (sections 1 to 3 and 5). Far more connections than Python could seal.
//
//   sealer DEVICE TO-MAC FROM TO DEVICE-ID RESERVE EPOCH FIRST COUNT RATE REPEAT PREFIX SERVER   the master key, 64 hex digits, on stdin
//
// Connection number i of FIRST... has n = 4096 + i: slots from 1 on. COUNT connections, REPEAT packets on each.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

enum { ETHERNET = 14, OUTER = 28, HEADER = 24, INNER = 56, TAG = 16, SIZE = ETHERNET + OUTER + HEADER + INNER + TAG, BURST = 32 };
enum { VARIANT = 0xA };  // wide ID, context connection, AES-256

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void put16(uint8_t *place, uint16_t value) {
  place[0] = value >> 8;
  place[1] = value & 255;
}

static void put64(uint8_t *place, uint64_t value) {
  for (int i = 0; i < 8; i++) place[i] = value >> (56 - 8 * i) & 255;
}

static uint16_t checksum(const uint8_t *octets, size_t length) {
  uint32_t sum = 0;
  for (size_t i = 0; i < length; i += 2) sum += octets[i] << 8 | octets[i + 1];
  while (sum >> 16) sum = (sum & 0xFFFF) + (sum >> 16);
  return ~sum;
}

static EVP_CIPHER_CTX *kdf, *gcm;
static uint8_t subkey[16];

// NIST SP 800-108 in counter mode over CMAC: two inputs of one block each, so that CMAC is one encryption of block xor K1.
static void derive(uint64_t id, uint16_t epoch, uint8_t *key) {
  uint8_t blocks[32];
  int length;
  for (int i = 0; i < 2; i++) {
    uint8_t *block = blocks + 16 * i;
    block[0] = i + 1;
    block[1] = 'E';
    block[2] = 0x40 + VARIANT;
    block[3] = 0;
    put64(block + 4, id);
    put16(block + 12, epoch);
    put16(block + 14, 256);
    for (int j = 0; j < 16; j++) block[j] ^= subkey[j];
  }
  if (EVP_EncryptUpdate(kdf, key, &length, blocks, 32) != 1 || length != 32) fail("AES");
}

static void begin(const uint8_t *master) {
  uint8_t zero[16] = {0};
  int length;
  kdf = EVP_CIPHER_CTX_new();
  gcm = EVP_CIPHER_CTX_new();
  if (EVP_EncryptInit_ex(kdf, EVP_aes_256_ecb(), NULL, master, NULL) != 1) fail("AES");
  EVP_CIPHER_CTX_set_padding(kdf, 0);
  if (EVP_EncryptUpdate(kdf, subkey, &length, zero, 16) != 1) fail("AES");
  int carry = subkey[0] >> 7;
  for (int i = 0; i < 16; i++) subkey[i] = subkey[i] << 1 | (i < 15 ? subkey[i + 1] >> 7 : 0);
  if (carry) subkey[15] ^= 0x87;
  if (EVP_EncryptInit_ex(gcm, EVP_aes_256_gcm(), NULL, NULL, NULL) != 1) fail("GCM");
}

static void seal(uint8_t *header, uint64_t id, uint16_t epoch, uint64_t counter) {
  uint8_t key[32], nonce[12], *text = header + HEADER;
  int length;
  put64(header + 4, id);
  put64(header + 16, (uint64_t)epoch << 48 | counter);
  memcpy(nonce, header + 8, 4);
  memcpy(nonce + 4, header + 16, 8);
  derive(id, epoch, key);
  if (EVP_EncryptInit_ex(gcm, NULL, NULL, key, nonce) != 1 || EVP_EncryptUpdate(gcm, NULL, &length, header, HEADER) != 1 ||
      EVP_EncryptUpdate(gcm, text, &length, text, INNER) != 1 || EVP_EncryptFinal_ex(gcm, text + length, &length) != 1 ||
      EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_AEAD_GET_TAG, TAG, text + INNER) != 1)
    fail("GCM");
}

int main(int count, char **words) {
  if (count != 14) return fprintf(stderr, "see the comment in sealer.c\n"), 64;
  const char *device = words[1];
  uint64_t pool = strtoull(words[5], NULL, 16), first = strtoull(words[8], NULL, 10), number = strtoull(words[9], NULL, 10);
  uint16_t epoch = strtoul(words[7], NULL, 10);
  uint64_t rate = strtoull(words[10], NULL, 10), repeat = strtoull(words[11], NULL, 10);
  uint8_t reserve = strtoul(words[6], NULL, 10), master[32], prefix[16], server[16];
  char text[65] = "";
  if (scanf("%64s", text) != 1 || strlen(text) != 64) return fprintf(stderr, "no master key on stdin\n"), 64;
  for (int i = 0; i < 32; i++) sscanf(text + 2 * i, "%2hhx", master + i);
  if (inet_pton(AF_INET6, words[12], prefix) != 1 || inet_pton(AF_INET6, words[13], server) != 1) fail("inet_pton");
  begin(master);

  int wire = socket(AF_PACKET, SOCK_RAW, 0);
  if (wire < 0) fail("socket");
  struct ifreq request = {0};
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device);
  if (ioctl(wire, SIOCGIFINDEX, &request)) fail("SIOCGIFINDEX");
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = request.ifr_ifindex};
  if (ioctl(wire, SIOCGIFHWADDR, &request)) fail("SIOCGIFHWADDR");
  if (bind(wire, (struct sockaddr *)&address, sizeof address)) fail("bind");

  uint8_t frame[SIZE] = {0};
  unsigned mac[6];
  sscanf(words[2], "%x:%x:%x:%x:%x:%x", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5);
  for (int i = 0; i < 6; i++) frame[i] = mac[i];
  memcpy(frame + 6, request.ifr_hwaddr.sa_data, 6);
  put16(frame + 12, 0x0800);
  uint8_t *ip = frame + ETHERNET, *udp = ip + 20, *header = udp + 8, *inner = header + HEADER;
  ip[0] = 0x45;
  put16(ip + 2, SIZE - ETHERNET);
  put16(ip + 6, 0x4000);
  ip[8] = 64;
  ip[9] = 17;
  if (inet_pton(AF_INET, words[3], ip + 12) != 1 || inet_pton(AF_INET, words[4], ip + 16) != 1) fail("inet_pton");
  put16(ip + 10, checksum(ip, 20));
  put16(udp, 50000);
  put16(udp + 2, 4500);
  put16(udp + 4, SIZE - ETHERNET - 20);
  header[0] = 0xF0 | (HEADER / 8 - 1);
  header[1] = VARIANT << 4 | reserve >> 4;
  header[2] = reserve << 4;

  static uint8_t frames[BURST][SIZE];
  struct iovec pieces[BURST];
  struct mmsghdr messages[BURST];
  memset(messages, 0, sizeof messages);
  for (int i = 0; i < BURST; i++) {
    pieces[i] = (struct iovec){frames[i], SIZE};
    messages[i].msg_hdr.msg_iov = pieces + i;
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  struct timespec start, now;
  clock_gettime(CLOCK_MONOTONIC, &start);
  uint64_t sent = 0, total = number * repeat;
  while (sent < total) {
    int burst = total - sent < BURST ? total - sent : BURST;
    for (int i = 0; i < burst; i++) {
      uint64_t place = sent + i, n = 4096 + first + place % number;
      memcpy(frames[i], frame, SIZE);
      uint8_t *packet = frames[i] + (inner - frame);
      packet[0] = 0x60;
      put16(packet + 4, INNER - 40);
      packet[6] = 17;
      packet[7] = 64;
      memcpy(packet + 8, prefix, 16);
      for (int j = 0; j < 4; j++) packet[8 + 12 + j] |= n >> (24 - 8 * j) & 255;
      memcpy(packet + 24, server, 16);
      put16(packet + 40, 7000);
      put16(packet + 42, 7000);
      put16(packet + 44, INNER - 40);
      put16(packet + 46, 1);  // a checksum that nobody looks at
      seal(frames[i] + (header - frame), pool << 32 | n << 1, epoch, first + place);
    }
    for (int done = 0; done < burst;) {
      int some = sendmmsg(wire, messages + done, burst - done, 0);
      if (some < 0) fail("sendmmsg");
      done += some;
    }
    sent += burst;
    while (clock_gettime(CLOCK_MONOTONIC, &now), now.tv_sec - start.tv_sec + (now.tv_nsec - start.tv_nsec) * 1e-9 < (double)sent / rate)
      nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
  }
  printf("%llu\n", (unsigned long long)sent);
  return 0;
}
