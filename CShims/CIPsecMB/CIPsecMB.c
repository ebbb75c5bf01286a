#define _DEFAULT_SOURCE  // explicit_bzero
#include "CIPsecMB.h"

#if defined(__x86_64__)

void CIPsecMB_IMB_AES_KEYEXP_256(IMB_MGR *manager, const void *key, void *schedule) {
  _Alignas(16) uint8_t decryption[15 * 16];
  IMB_AES_KEYEXP_256(manager, key, schedule, decryption);
  explicit_bzero(decryption, sizeof decryption);
}

bool CIPsecMB_IMB_SUBMIT_JOB_ECB(IMB_MGR *manager, const void *schedule, void *blocks, uint64_t count) {
  IMB_JOB *job = IMB_GET_NEXT_JOB(manager);
  // A job slot still holds the fields of its last use, and a stale IV length is refused.
  memset(job, 0, sizeof *job);
  job->cipher_mode = IMB_CIPHER_ECB;
  job->cipher_direction = IMB_DIR_ENCRYPT;
  job->chain_order = IMB_ORDER_CIPHER_HASH;
  job->hash_alg = IMB_AUTH_NULL;
  job->enc_keys = schedule;
  job->dec_keys = schedule;  // checked for NULL, not used
  job->key_len_in_bytes = IMB_KEY_256_BYTES;
  job->src = blocks;
  job->dst = blocks;
  job->msg_len_to_cipher_in_bytes = count * 16;
  // Checking costs half as much as 32 blocks do, and these fields are the same in every job but for the pointers.
  job = IMB_SUBMIT_JOB_NOCHECK(manager);
  if (job == NULL) job = IMB_FLUSH_JOB(manager);
  return job != NULL && job->status == IMB_STATUS_COMPLETED;
}

#endif
