#include "kernels.cuh"
#include "plugin.h"

namespace surgeon
{

namespace
{

constexpr float kSixth = 1.0F / 6.0F;

struct LeakyRelu
{
    float alpha;

    __device__ float operator()(float x) const
    {
        return x > 0.0F ? x : x * alpha;
    }
};

struct HardSwish
{
    __device__ float operator()(float x) const
    {
        return x * clipped(x + 3.0F, 0.0F, 6.0F) * kSixth;
    }
};

struct HardSigmoid
{
    __device__ float operator()(float x) const
    {
        return clipped(x + 3.0F, 0.0F, 6.0F) * kSixth;
    }
};

//! Each element through an activation function.
struct Activation
{
    static constexpr char const* kName = "SurgeonActivation";

    enum Type : int32_t
    {
        kLEAKY_RELU = 0,
        kHARD_SWISH = 1,
        kHARD_SIGMOID = 2,
    };

    struct Fields
    {
        int32_t type;
        float alpha;
    };

    static std::vector<FieldSpec> specs()
    {
        return {{"type", nvinfer1::PluginFieldType::kINT32}, {"alpha", nvinfer1::PluginFieldType::kFLOAT32}};
    }

    static Fields read(FieldReader& reader)
    {
        Fields fields{};
        fields.type = reader.integer("type", kLEAKY_RELU, kHARD_SIGMOID);
        fields.alpha = fields.type == kLEAKY_RELU ? reader.number("alpha") : reader.number("alpha", 0.0F);
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
        uint32_t const grid = blocks(count);
        switch (fields.type)
        {
        case kLEAKY_RELU: mapElements<<<grid, kThreads, 0, stream>>>(x, y, count, LeakyRelu{fields.alpha}); break;
        case kHARD_SWISH: mapElements<<<grid, kThreads, 0, stream>>>(x, y, count, HardSwish{}); break;
        default: mapElements<<<grid, kThreads, 0, stream>>>(x, y, count, HardSigmoid{}); break;
        }
    }
};

using ActivationCreator = Creator<Activation>;

} // namespace

REGISTER_TENSORRT_PLUGIN(ActivationCreator);

} // namespace surgeon
