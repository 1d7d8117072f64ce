# Writes and reads one object with the encryption clients of ruby-aws-sdk-s3
# (Debian: ruby ruby-aws-sdk-s3 ruby-aws-sdk-kms). The job is JSON in the first
# argument; the text is on standard input or output.
require 'json'
require 'aws-sdk-s3'
require 'aws-sdk-kms'

# What an older client does is what is asked for; its warnings are known.
module Aws::S3::Encryption
  class Client
    def warn(*); end
  end
end

job = JSON.parse(ARGV.fetch(0))
account = { region: job['region'], access_key_id: job['access_key'], secret_access_key: job['secret'], retry_limit: 0 }
store = Aws::S3::Client.new(account.merge(endpoint: job['s3'], force_path_style: true))
keys = Aws::KMS::Client.new(account.merge(endpoint: job['kms'] || job['s3']))

options = { client: store }
raw = nil
if job['pem']
  raw = OpenSSL::PKey::RSA.new(File.read(job['pem']))
elsif job['raw_key']
  raw = Base64.strict_decode64(job['raw_key'])
end
if raw
  options[:encryption_key] = raw
  options[:materials_description] = job['description'] if job['description']
else
  # Debian's client of KMS is too old to name the key in a Decrypt.
  options[:kms_key_id] = job['do'] == 'put' ? job['kms_key'] : :kms_allow_decrypt_with_any_cmk
  options[:kms_client] = keys
end
options[:envelope_location] = :instruction_file if job['instruction']

client =
  if job['version'] == 1
    Aws::S3::Encryption::Client.new(options)
  else
    wrap = !raw ? :kms_context : raw.is_a?(String) ? :aes_gcm : :rsa_oaep_sha1
    Aws::S3::EncryptionV2::Client.new(options.merge(
      key_wrap_schema: wrap, content_encryption_schema: :aes_gcm_no_padding,
      security_profile: job['legacy'] ? :v2_and_legacy : :v2))
  end

request = { bucket: job['bucket'], key: job['key'] }
request[:kms_encryption_context] = job['context'] if job['context'] && job['version'] != 1 && !raw
STDIN.binmode
STDOUT.binmode
begin
  case job['do']
  when 'put'
    client.put_object(request.merge(body: STDIN.read, metadata: { 'own' => 'value' }))
  when 'get'
    STDOUT.write(client.get_object(request).body.read)
  else
    abort "put or get, not #{job['do']}"
  end
rescue StandardError => e
  abort "#{e.class}: #{e.message}"
end
