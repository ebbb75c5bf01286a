#include "CPerf.h"

#include <openssl/evp.h>


void *perf_evp_new(const void *key) {
  EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  if (!cipher || !context || !EVP_EncryptInit_ex2(context, cipher, key, NULL, NULL)) return NULL;
  EVP_CIPHER_free(cipher);
  return context;
}
void perf_evp_free(void *context) { EVP_CIPHER_CTX_free(context); }

bool perf_evp_seal(
    void *context, const void *key, const void *nonce, const void *aad, int aad_length, void *text, int length, void *tag) {
  int count;
  return EVP_EncryptInit_ex2(context, NULL, key, nonce, NULL) && EVP_EncryptUpdate(context, NULL, &count, aad, aad_length) &&
         EVP_EncryptUpdate(context, text, &count, text, length) && EVP_EncryptFinal_ex(context, text, &count) &&
         EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, tag);
}
bool perf_evp_open(
    void *context, const void *key, const void *nonce, const void *aad, int aad_length, void *text, int length,
    const void *tag) {
  int count;
  return EVP_DecryptInit_ex2(context, NULL, key, nonce, NULL) && EVP_DecryptUpdate(context, NULL, &count, aad, aad_length) &&
         EVP_DecryptUpdate(context, text, &count, text, length) &&
         EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, 16, (void *)(uintptr_t)tag) &&
         EVP_DecryptFinal_ex(context, text, &count) > 0;
}
