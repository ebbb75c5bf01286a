#if !__has_include(<openssl/evp.h>)
#error "libssl-dev is missing: run make deps"
#else

#include "COpenSSL.h"

// SHA256_Init and its like: the EVP functions allocate, and so could fail.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <string.h>

#include "arena.h"

enum { tag_size = 16, block_size = 16 };

static const uint8_t zero_key[32];

static EVP_CIPHER *gcm256, *gcm128, *ecb256, *wrap256;
static EVP_MAC *hmac;

static COpenSSL_context *context_new(EVP_CIPHER *cipher) {
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  if (context == NULL) return NULL;
  if (EVP_EncryptInit_ex2(context, cipher, zero_key, NULL, NULL) != 1) {
    EVP_CIPHER_CTX_free(context);
    return NULL;
  }
  return context;
}

static COpenSSL_context *locked_context_new(EVP_CIPHER *cipher) {
  key_section_enter();
  COpenSSL_context *context = context_new(cipher);
  key_section_leave();
  return context;
}

static bool hmac_sha256(const void *key, size_t key_length, const void *message, size_t length, void *output) {
  EVP_MAC_CTX *context = EVP_MAC_CTX_new(hmac);
  const OSSL_PARAM sha256[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
      OSSL_PARAM_construct_end(),
  };
  size_t written = 0;
  bool done = context != NULL && EVP_MAC_init(context, key, key_length, sha256) == 1 &&
              EVP_MAC_update(context, message, length) == 1 &&
              EVP_MAC_final(context, output, &written, 32) == 1 && written == 32;
  EVP_MAC_CTX_free(context);
  return done;
}

enum { wrap_overhead = 8 };

// AES key wrap and its reverse keep the octets that they work on in a block on the stack.
__attribute__((noinline)) static void erase_stack(void) {
  uint8_t below[4096];
  explicit_bzero(below, sizeof below);
}

static bool key_wrap(bool wrapping, const void *kek, const void *input, size_t length, void *output) {
  if (length % wrap_overhead != 0 || length > INT_MAX / 2) return false;
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  if (context == NULL) return false;
  EVP_CIPHER_CTX_set_flags(context, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  int written = 0;
  bool done = EVP_CipherInit_ex2(context, wrap256, kek, NULL, wrapping, NULL) == 1 &&
              EVP_CipherUpdate(context, output, &written, input, (int)length) == 1 &&
              (size_t)written == (wrapping ? length + wrap_overhead : length - wrap_overhead);
  EVP_CIPHER_CTX_free(context);
  return done;
}

static bool locked_key_wrap(bool wrapping, const void *kek, const void *input, size_t length, void *output) {
  // A refusal is written down in a list of this thread's, that must neither begin nor stay in the arena.
  ERR_clear_error();
  key_section_enter();
  bool done = key_wrap(wrapping, kek, input, length, output);
  ERR_clear_error();
  key_section_leave();
  erase_stack();
  return done;
}

static COpenSSL_state state;
static size_t gcm_size;

static void start(void) {
  state = COpenSSL_allocator_refused;
  if (!arena_installed()) return;
  state = COpenSSL_algorithm_missing;
  gcm256 = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
  gcm128 = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
  ecb256 = EVP_CIPHER_fetch(NULL, "AES-256-ECB", NULL);
  wrap256 = EVP_CIPHER_fetch(NULL, "AES-256-WRAP", NULL);
  hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
  if (gcm256 == NULL || gcm128 == NULL || ecb256 == NULL || wrap256 == NULL || hmac == NULL) return;
  // Once without a key section and without a real key: what OpenSSL makes on first use lives as long as the process
  // and would stay in the arena.
  EVP_CIPHER *const ciphers[] = {gcm256, gcm128, ecb256};
  for (size_t i = 0; i < sizeof ciphers / sizeof ciphers[0]; i += 1) {
    COpenSSL_context *context = context_new(ciphers[i]);
    if (context == NULL) return;
    COpenSSL_context_free(context);
  }
  uint8_t output[32], wrapped[40];
  if (!key_wrap(true, zero_key, zero_key, sizeof zero_key, wrapped)) return;
  if (!hmac_sha256(zero_key, sizeof zero_key, zero_key, sizeof zero_key, output)) return;
  state = COpenSSL_no_key_memory;
  if (!arena_start()) return;
  COpenSSL_context *first = locked_context_new(gcm256);
  if (first == NULL) return;
  gcm_size = COpenSSL_key_arena().allocated;
  COpenSSL_context_free(first);
  state = COpenSSL_ready;
}

COpenSSL_state COpenSSL_start(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, start);
  return state;
}

const char *COpenSSL_version(void) { return OpenSSL_version(OPENSSL_VERSION); }

COpenSSL_context *COpenSSL_gcm_new(bool aes128) { return locked_context_new(aes128 ? gcm128 : gcm256); }

size_t COpenSSL_gcm_size(void) { return gcm_size; }

COpenSSL_context *COpenSSL_ecb_new(void) {
  COpenSSL_context *context = locked_context_new(ecb256);
  if (context != NULL) EVP_CIPHER_CTX_set_padding(context, 0);
  return context;
}

void COpenSSL_context_free(COpenSSL_context *context) { EVP_CIPHER_CTX_free(context); }

bool COpenSSL_set_key(COpenSSL_context *context, const void *key) {
  key_section_enter();
  bool done = EVP_EncryptInit_ex2(context, NULL, key, NULL, NULL) == 1;
  key_section_leave();
  return done;
}

typedef int init_function(EVP_CIPHER_CTX *, const EVP_CIPHER *, const unsigned char *, const unsigned char *,
                          const OSSL_PARAM *);

// A new key and a nonce in one call cost less than one after the other.
static inline bool gcm_init(init_function *init, COpenSSL_context *context, const void *key, const void *nonce) {
  if (key == NULL) return init(context, NULL, NULL, nonce, NULL) == 1;
  key_section_enter();
  bool done = init(context, NULL, key, nonce, NULL) == 1;
  key_section_leave();
  return done;
}

bool COpenSSL_gcm_seal(COpenSSL_context *context, const void *key, const void *nonce, const void *aad,
                       size_t aad_length, void *text, size_t length, void *tag) {
  int written;
  return aad_length <= INT_MAX && length <= INT_MAX && gcm_init(EVP_EncryptInit_ex2, context, key, nonce) &&
         (aad_length == 0 || EVP_EncryptUpdate(context, NULL, &written, aad, (int)aad_length) == 1) &&
         (length == 0 || EVP_EncryptUpdate(context, text, &written, text, (int)length) == 1) &&
         EVP_EncryptFinal_ex(context, text, &written) == 1 &&
         EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, tag_size, tag) == 1;
}

COpenSSL_opening COpenSSL_gcm_open(COpenSSL_context *context, const void *key, const void *nonce, const void *aad,
                                   size_t aad_length, void *text, size_t length, const void *tag) {
  int written;
  if (aad_length > INT_MAX || length > INT_MAX || !gcm_init(EVP_DecryptInit_ex2, context, key, nonce) ||
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, tag_size, (void *)tag) != 1 ||
      (aad_length > 0 && EVP_DecryptUpdate(context, NULL, &written, aad, (int)aad_length) != 1) ||
      (length > 0 && EVP_DecryptUpdate(context, text, &written, text, (int)length) != 1)) {
    return COpenSSL_failed;
  }
  return EVP_DecryptFinal_ex(context, text, &written) == 1 ? COpenSSL_opened : COpenSSL_refused;
}

bool COpenSSL_ecb_encrypt(COpenSSL_context *context, void *blocks, size_t count) {
  int written;
  return count <= INT_MAX / block_size &&
         EVP_EncryptUpdate(context, blocks, &written, blocks, (int)(count * block_size)) == 1 &&
         (size_t)written == count * block_size;
}

bool COpenSSL_hmac_sha256(const void *key, size_t key_length, const void *message, size_t length, void *output) {
  static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&one_at_a_time);
  key_section_enter();
  bool done = hmac_sha256(key, key_length, message, length, output);
  key_section_leave();
  pthread_mutex_unlock(&one_at_a_time);
  return done;
}

bool COpenSSL_key_wrap(const void *kek, const void *key, size_t length, void *wrapped) {
  return length >= 2 * wrap_overhead && locked_key_wrap(true, kek, key, length, wrapped);
}

bool COpenSSL_key_unwrap(const void *kek, const void *wrapped, size_t length, void *key) {
  return length >= 3 * wrap_overhead && locked_key_wrap(false, kek, wrapped, length, key);
}

void COpenSSL_sha256(const void *message, size_t length, void *output) {
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, message, length);
  SHA256_Final(output, &context);
  OPENSSL_cleanse(&context, sizeof context);
  erase_stack();
}

bool COpenSSL_equal(const void *a, const void *b, size_t length) { return CRYPTO_memcmp(a, b, length) == 0; }

#endif
