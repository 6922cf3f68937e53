#include "kernels.cuh"
#include "plugin.h"

namespace surgeon
{

namespace
{

struct ClipTo
{
    float low;
    float high;

    __device__ float operator()(float x) const
    {
        return clipped(x, low, high);
    }
};

//! Each element, moved into a range.
struct Clip
{
    static constexpr char const* kName = "CustomClipPlugin";

    struct Fields
    {
        float low;
        float high;
    };

    static std::vector<FieldSpec> specs()
    {
        return {{"clipMin", nvinfer1::PluginFieldType::kFLOAT32}, {"clipMax", nvinfer1::PluginFieldType::kFLOAT32}};
    }

    static Fields read(FieldReader& reader)
    {
        Fields const fields{reader.number("clipMin"), reader.number("clipMax")};
        if (fields.low > fields.high)
        {
            reader.refuse("the field 'clipMin' is above 'clipMax'; expected it below");
        }
        return fields;
    }

    static std::string shape(Fields const&, nvinfer1::Dims const& input, nvinfer1::Dims& output)
    {
        output = input;
        return {};
    }

    template <typename T>
    static void launch(Fields const& fields, int32_t batch, nvinfer1::Dims const& input, nvinfer1::Dims const&, T const* x,
        T* y, cudaStream_t stream)
    {
        int64_t const count = batch * volume(input);
        mapElements<<<blocks(count), kThreads, 0, stream>>>(x, y, count, ClipTo{fields.low, fields.high});
    }
};

using ClipCreator = Creator<Clip>;

} // namespace

REGISTER_TENSORRT_PLUGIN(ClipCreator);

} // namespace surgeon
